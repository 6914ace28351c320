"""Temporal's development server on a SQLite file, with local activities, the fastest it has. Prints seconds."""

import asyncio
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

PATIENCE = timedelta(minutes=5)
AT_ONCE = 200


@activity.defn
async def step(event: int) -> int:
    """The least that an activity can do."""
    return event


@workflow.defn
class Steps:
    """One local activity after another."""

    @workflow.run
    async def run(self, size: int) -> int:
        """So many."""
        for n in range(size):
            await workflow.execute_local_activity(step, n, start_to_close_timeout=PATIENCE)
        return size


@workflow.defn
class Spread:
    """Local activities, many at once."""

    @workflow.run
    async def run(self, size: int) -> int:
        """So many, some hundreds at a time."""
        for start in range(0, size, AT_ONCE):
            some = range(start, min(start + AT_ONCE, size))
            await asyncio.gather(
                *(workflow.execute_local_activity(step, n, start_to_close_timeout=PATIENCE) for n in some)
            )
        return size


async def connected(port: int) -> Client:
    """The server, once it answers."""
    for _ in range(200):
        try:
            return await Client.connect(f"127.0.0.1:{port}")
        except RuntimeError:
            await asyncio.sleep(0.1)
    raise TimeoutError


async def main(work: str, size: int, port: int) -> None:
    """Take the time from the start to the result."""
    client = await connected(port)
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue="peer", workflows=[Steps, Spread], activities=[step], workflow_runner=runner):
        chosen = {"steps": Steps, "map": Spread}[work]
        begun = time.perf_counter()
        if await client.execute_workflow(chosen.run, size, id="one", task_queue="peer") != size:
            raise AssertionError
        print(time.perf_counter() - begun)


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen_port = free.getsockname()[1]
    binary = Path(sys.executable).with_name("temporal")
    flags = ["--headless", "--port", str(chosen_port), "--db-filename", "peer.sqlite", "--log-level", "error"]
    server = subprocess.Popen([binary, "server", "start-dev", *flags], stdout=subprocess.DEVNULL)
    try:
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), chosen_port))
    finally:
        server.terminate()
        server.wait()
