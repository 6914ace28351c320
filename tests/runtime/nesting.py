"""A program for the tests to kill: a Map whose items are executions of their own, begun or resumed over a store.

    python nesting.py FOLDER ITEMS [--resume]
"""

import argparse
import json
from pathlib import Path

import anyio

from stepfold import Engine

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:double"
CHILD = {"StartAt": "Double", "States": {"Double": {"Type": "Task", "Resource": FUNCTION, "End": True}}}


def parent(child):
    start = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True,
             "Parameters": {"StateMachineArn": child, "Input.$": "$"}, "OutputPath": "$.Output"}
    return {"StartAt": "Each", "States": {"Each": {
        "Type": "Map", "MaxConcurrency": 10, "End": True,
        "ItemProcessor": {"StartAt": "Start", "States": {"Start": start}},
    }}}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("items", type=int)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    engine = Engine(given.folder / "store.db")

    @engine.work()
    async def double(event):
        with (given.folder / "calls").open("a") as lines:
            lines.write(f"{event}\n")
        await anyio.sleep(0.01)
        return event * 2

    async with engine:
        if given.resume:
            handle = await engine.find("monday")
        else:
            child = await engine.create("child", CHILD)
            machine = await engine.create("parent", parent(child.arn))
            handle = await engine.start(machine, list(range(given.items)), name="monday")
        print(json.dumps(await handle.result()), flush=True)


anyio.run(main)
