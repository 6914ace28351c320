"""Restate's server with its Python SDK: recorded runs, one after another or some hundreds at once. Prints seconds.

The server is an npm package of its own; its binary is the third argument.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import hypercorn
import hypercorn.asyncio
import restate

AT_ONCE = 200
service = restate.Service("Peer")


async def least(event: int) -> int:
    """The least that a run can do."""
    return event


@service.handler()
async def steps(ctx: restate.Context, size: int) -> int:
    """One run after another."""
    for n in range(size):
        await ctx.run_typed("step", least, event=n)
    return size


@service.handler()
async def spread(ctx: restate.Context, size: int) -> int:
    """Some hundreds at a time: more at once break the connection."""
    for start in range(0, size, AT_ONCE):
        some = range(start, min(start + AT_ONCE, size))
        await restate.gather(*(ctx.run_typed("item", least, event=n) for n in some))
    return size


async def until_there(client: httpx.AsyncClient, url: str) -> None:
    """Wait until a URL answers."""
    for _ in range(300):
        try:
            (await client.get(url)).raise_for_status()
        except httpx.HTTPError:
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError


async def main(work: str, size: int, ports: dict[str, int]) -> None:
    """Serve, register, then take the time from the start to the result."""
    over = asyncio.Event()
    settings = hypercorn.Config()
    settings.bind = [f"127.0.0.1:{ports['service']}"]
    settings.errorlog = None
    served = asyncio.create_task(hypercorn.asyncio.serve(restate.app([service]), settings, shutdown_trigger=over.wait))
    async with httpx.AsyncClient(timeout=600) as client:
        admin, ingress = (f"http://127.0.0.1:{ports[which]}" for which in ("admin", "ingress"))
        await until_there(client, f"{admin}/health")
        await until_there(client, f"{ingress}/restate/health")
        deployment = {"uri": f"http://127.0.0.1:{ports['service']}"}
        (await client.post(f"{admin}/deployments", json=deployment)).raise_for_status()
        handler = {"steps": "steps", "map": "spread"}[work]
        begun = time.perf_counter()
        answer = await client.post(f"{ingress}/Peer/{handler}", json=size)
        taken = time.perf_counter() - begun
        if answer.json() != size:
            raise AssertionError(answer.text)
        print(taken)
    over.set()
    await served


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    ports = {which: free_port() for which in ("service", "admin", "ingress", "node")}
    places = os.environ | {
        "RESTATE_BASE_DIR": "peer-data",
        "RESTATE_BIND_IP": "127.0.0.1",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{ports['admin']}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ports['ingress']}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{ports['node']}",
        "RESTATE_LOG_FILTER": "error",
        "DO_NOT_TRACK": "1",
    }
    with Path("peer.log").open("wb") as log:
        server = subprocess.Popen([sys.argv[3]], env=places, stdout=log, stderr=log)
        try:
            asyncio.run(main(sys.argv[1], int(sys.argv[2]), ports))
        finally:
            server.terminate()
            server.wait()
