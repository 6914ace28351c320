"""A program for the tests to kill: a Map whose handlers leave a line for each call, begun or resumed over a store.

    python interrupted.py FOLDER callable|python|node ITEMS [--resume] [--later SECONDS]
"""

import argparse
import os
from pathlib import Path

import anyio

from stepfold import Engine
from stepfold.runtime.clock import SystemClock
from stepfold.work.functions.handlers import Handler, Handlers

PYTHON = """
import os

def handler(event, context):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(f"{context.aws_request_id} {os.getpid()}\\n")
    return event * 2
"""
NODE = """
const fs = require('fs');
exports.handler = (event, context, callback) => {
  fs.appendFileSync(process.env.CALLS, `${context.awsRequestId} ${process.pid}\\n`);
  callback(null, event * 2);
};
"""


class Later(SystemClock):
    """The system's clock, some time on."""

    def __init__(self, seconds):
        self.ahead = seconds * 1000

    def now(self):
        return super().now() + self.ahead


def definition(items):
    task = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:double", "End": True,
            "TimeoutSeconds": 30}
    return {"StartAt": "Each", "States": {"Each": {
        "Type": "Map", "MaxConcurrency": 40, "End": True,
        "ItemProcessor": {"StartAt": "Double", "States": {"Double": task}},
    }}}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind")
    parser.add_argument("items", type=int)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--later", type=int, default=0)
    given = parser.parse_args()
    calls = given.folder / "calls"
    engine = Engine(given.folder / "store.db", clock=Later(given.later))
    if given.kind == "callable":

        async def double(event, context):
            with calls.open("a") as lines:
                lines.write(f"{context.aws_request_id} {os.getpid()}\n")
            return event * 2

        engine.work("double")(double)
    else:
        name, text, runtime = (
            ("index.py", PYTHON, "python3.11") if given.kind == "python" else ("index.js", NODE, "nodejs20.x")
        )
        (given.folder / name).write_text(text)
        handlers = engine.keep(Handlers())
        engine.register("double", handlers.worker(Handler(
            name="double", runtime=runtime, code=given.folder, environment={"CALLS": str(calls)},
        )))
    async with engine:
        if given.resume:
            handle = await engine.find("monday")
        else:
            machine = await engine.create("doubling", definition(given.items))
            handle = await engine.start(machine, list(range(given.items)), name="monday")
        assert await handle.result() == [item * 2 for item in range(given.items)]
    print("done", flush=True)


anyio.run(main)
