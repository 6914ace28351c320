"""The log beside the file, flipped and cut as a crash left it: what was acknowledged is there, or its loss is told."""

import random
from collections import Counter

import pytest
from tests.faults import invariants
from tests.faults.levels import SEED, of_level
from tests.laws.checks import Broken
from tests.runtime.world import call, each

from stepfold import Engine
from stepfold.runtime.recovery.doctor import examine
from stepfold_store import StoreError, open_store

pytestmark = pytest.mark.anyio
FLIPS = of_level(24, 200, 4_000)
HEADER, FRAME = 32, 24 + 4096


async def killed(folder):
    """What a process that is killed leaves behind, after several executions: the file, the log, what is in them."""
    path = folder / "lived.db"
    async with Engine(path, seed=1) as engine:

        @engine.work("work")
        async def work(event):
            return event

        machine = await engine.create("worked", each(call(), MaxConcurrency=1))
        for number in range(5):
            await (await engine.start(machine, list(range(5)), name=f"n{number}")).result()
        file, log = path.read_bytes(), path.with_name("lived.db-wal").read_bytes()
    return file, log, invariants.of_file(path)


def left(folder, file, log):
    """A file and a log beside it, as they were left."""
    for part in folder.glob("left.db*"):
        part.unlink()
    path = folder / "left.db"
    path.write_bytes(file)
    path.with_name("left.db-wal").write_bytes(log)
    return path


async def opened(path):
    """What an engine finds; None where it is refused, and then everything is as it was."""
    log = path.with_name("left.db-wal")
    before = path.read_bytes(), log.read_bytes()
    try:
        await (await open_store(path)).close()
    except StoreError as error:
        if "write-ahead log is damaged" not in str(error):
            raise
        assert (path.read_bytes(), log.read_bytes()) == before, "what is refused is left alone"
        assert any("write-ahead log is damaged" in problem for problem in (await examine(path)).problems)
        return None
    return invariants.of_file(path)


def last_commit(log):
    """Where the frames of the last commit begin."""
    ends = [place for place in range(HEADER, len(log) - FRAME + 1, FRAME) if log[place + 4 : place + 8] != bytes(4)]
    return ends[-2] + FRAME


def places(log):
    """Bits of every kind: of the header, of the heads of frames, of their pages."""
    chance = random.Random(SEED)
    yield from (8 * place for place in (3, *range(0, HEADER, 6)))
    for turn in range(FLIPS):
        frame = HEADER + chance.randrange(len(log) // FRAME) * FRAME
        yield 8 * (frame + (chance.randrange(24) if turn % 2 else chance.randrange(24, FRAME))) + turn % 8


async def flipped(folder, figures=None):
    """Flip a bit of the log, place after place: nothing acknowledged is missed in silence, but for the last commit."""
    file, log, whole = await killed(folder)
    last, found = last_commit(log), Counter()
    for bit in places(log):
        place, data = bit // 8, bytearray(log)
        data[place] ^= 1 << bit % 8
        there = await opened(left(folder, file, bytes(data)))
        if there is None:
            found["refused"] += 1
            continue
        if place < last - FRAME and there != whole:
            raise Broken(f"byte {place} of the log was flipped, and what came after it is gone without a word")
        invariants.is_beginning(there, whole)
        found["harmless" if there == whole else "the last commit gone"] += 1
    if figures is not None:
        figures.append("faults: bits flipped in a write-ahead log: "
                       + ", ".join(f"{what} {many}" for what, many in found.items()))
    return found


async def test_a_bit_flipped_in_the_log_beside_the_file_is_found(tmp_path, figures):
    assert (await flipped(tmp_path, figures))["refused"] > FLIPS / 2


async def test_a_log_that_ends_anywhere_is_opened_as_far_as_it_goes(tmp_path):
    """So it looks where power was lost in a commit: that was never acknowledged, and nobody is to be held up by it."""
    file, log, whole = await killed(tmp_path)
    chance = random.Random(SEED)
    for end in [0, 1, HEADER, HEADER + 1, len(log) - 1, *(chance.randrange(len(log)) for _ in range(10))]:
        there = await opened(left(tmp_path, file, log[:end]))
        invariants.is_beginning(there, whole)


async def test_a_commit_that_was_torn_is_forgotten_and_written_over(tmp_path):
    """Of the last commit some frames are there and some are not; then it goes on, and is torn once more."""
    file, log, whole = await killed(tmp_path)
    last = last_commit(log)
    torn = log[:last] + bytes(FRAME) + log[last + FRAME :]
    there = await opened(left(tmp_path, file, torn))
    assert there is not None
    invariants.is_beginning(there, whole)
