"""DBOS on SQLite: a workflow of steps, one after another or gathered. Prints seconds."""

import asyncio
import sys
import time

from dbos import DBOS


@DBOS.step()
async def step(event: object) -> object:
    """The least that a step can do."""
    return event


@DBOS.workflow()
async def steps(size: int) -> int:
    """One step after another."""
    for n in range(size):
        await step(n)
    return size


@DBOS.workflow()
async def spread(size: int) -> int:
    """All at once."""
    return len(await asyncio.gather(*(step(n) for n in range(size))))


async def main(work: str, size: int) -> None:
    """Take the time from the start to the result."""
    begun = time.perf_counter()
    if await {"steps": steps, "map": spread}[work](size) != size:
        raise AssertionError
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    DBOS(config={"name": "peer", "system_database_url": "sqlite:///peer.sqlite", "run_admin_server": False})
    DBOS.launch()
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
    DBOS.destroy()
