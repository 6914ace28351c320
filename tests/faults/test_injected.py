"""A real engine process whose system calls are made to fail, or to be its last, at every write and every sync.

After each: the file is whole, nothing acknowledged is lost, nothing was called that the log does not ask for. Then
another life carries everything to its end, and no outcome is recorded twice.
"""

import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from tests.faults import lives
from tests.faults.levels import AT_ONCE, SEED, from_level, of_level
from tests.faults.victim import CLOSED, REFUSED
from tests.laws.checks import Broken

pytestmark = from_level(1)

CALLS = "pwrite64", "fdatasync", "fsync", "ftruncate"
FAULTS = {
    "kill": "signal=KILL",
    "EIO": "error=EIO",
    "ENOSPC": "error=ENOSPC",
}
MOST = of_level(0, 30, 100_000)
"""Of the writes so many are tried; of the syncs, which are fewer, all."""
ENDED = {"kill": {-9, 0}, "EIO": {0, CLOSED, REFUSED}, "ENOSPC": {0, CLOSED, REFUSED}}
"""How a victim may end. 0: the fault came after the last commit, or while checkpointing, which is tried again."""


def calls_of(nurseries, folder, *, begun=None, **how):
    """How often the busiest thread of a victim makes each call."""
    nursery, folder = nurseries.get(), _made(folder / "counted", begun)
    out = folder.with_name("counted.trace")
    try:
        assert nursery.live(folder, trace=["-e", f"trace={','.join(CALLS)}"], out=out, **how) == 0
    finally:
        nurseries.put(nursery)
    found = Counter(re.findall(r"^(\d+) +(\w+)\(", out.read_text(), flags=re.MULTILINE))
    return {name: max((many for (_, call), many in found.items() if call == name), default=0) for name in CALLS}


def _made(folder, begun):
    if begun is None:
        folder.mkdir(parents=True)
    else:
        lives.twin(begun, folder)
    return folder


def struck(nurseries, folder, fault, call, when, *, begun=None, life=0, checkpoint=1000, then=lives.to_the_end, **how):
    """One victim, struck at one call, and what comes after it; its exit code.

    `begun` is the folder of an earlier life, which this one goes on with.
    """
    nursery, out = nurseries.get(), folder.with_name(folder.name + ".trace")
    try:
        trace = ["-y", "-e", f"trace=write,{','.join(CALLS)}", "-e", f"inject={call}:{FAULTS[fault]}:when={when}"]
        code = nursery.live(_made(folder, begun), trace=trace, out=out, life=life, checkpoint=checkpoint, **how)
        assert code in ENDED[fault], f"it ended with {code}"
        if checkpoint > 1000:  # (a checkpoint that failed may be tried again)
            assert not written_again(out.read_text()), "a commit failed, and was tried again"
        then(nursery, folder, lives.look(folder), life=life + 1, **how)
        return code
    except (Broken, AssertionError) as broken:
        raise Broken(f"{fault} at {call} number {when}: {broken}") from broken
    finally:
        nurseries.put(nursery)


def written_again(trace):
    """Whether the log beside the file was written after a sync of it had failed, in a store that was open."""
    before, struck, after = trace.partition("(INJECTED)")
    failed = before.rpartition("\n")[2]
    is_commit = struck and "store.db-wal>" in failed and '.said>, "open' in before
    return bool(is_commit and re.search(r"pwrite64\([^,]*store\.db-wal>", after))


def sweep(nurseries, folder, fault, points, **how):
    """Strike once at each point; how the victims ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(struck, nurseries, folder / f"{call}-{when}", fault, call, when, **how)
                for call, when in points]
        return [run.result() for run in runs]


def points_of(counts, most=MOST):
    """Each sync, and of the writes the first, the last and some drawn ones between."""
    chance = random.Random(SEED)
    found = [(call, when) for call in CALLS[1:] for when in range(1, counts[call] + 1)]
    writes = range(1, counts["pwrite64"] + 1)
    return found + [("pwrite64", when) for when in sorted(chance.sample(writes, min(most, len(writes))))]


@pytest.mark.parametrize(("fault", "checkpoint"), [*product(FAULTS, (20, 1000))])
def test_at_every_write_and_sync(fault, checkpoint, nurseries, tmp_path, figures):
    counts = calls_of(nurseries, tmp_path, checkpoint=checkpoint)
    assert counts["pwrite64"] > 100
    assert counts["fdatasync"] > 5
    ended = Counter(sweep(nurseries, tmp_path, fault, points_of(counts), checkpoint=checkpoint))
    assert ended.total() > ended[0], "some were struck"
    figures.append(f"faults: {fault} at {ended.total()} calls (checkpoint at {checkpoint} pages), exit codes "
                   + ", ".join(f"{code}: {many}" for code, many in sorted(ended.items())))


def test_a_failed_sync_of_a_commit_is_never_tried_again(nurseries, tmp_path):
    """Each sync in turn: of a file being made, of a commit, of the closing. How many commits there are may differ."""
    syncs = calls_of(nurseries, tmp_path, checkpoint=100_000)["fdatasync"]
    ended = sweep(nurseries, tmp_path, "EIO", [("fdatasync", when) for when in range(1, syncs + 1)], checkpoint=100_000)
    assert ended.count(CLOSED) >= 8, "most of them are commits, and those are the end"
