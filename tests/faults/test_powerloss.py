"""Loss of power at any moment of a real run: what was acknowledged is there, whatever else the disk has kept."""

import random
from collections import Counter

import pytest
from tests.faults import invariants, lives, powerloss
from tests.faults.levels import SEED, from_level, needs_strace, of_level
from tests.faults.victim import said_by
from tests.laws.checks import Broken

from stepfold_store import sqlite_wal

pytestmark = from_level(1)

SEEDS = of_level(0, 3, 10)
RESUMED = of_level(0, 20, 200)
"""So many of the images of a seed are carried to their end by another life."""


@pytest.fixture(scope="module")
def nursery():
    needs_strace()
    nursery = lives.Nursery()
    yield nursery
    nursery.close()


def recorded(nursery, folder, **how):
    """What a victim wrote, synced and said, in the order in which it did."""
    folder.mkdir(parents=True)
    trace = folder / "trace"
    assert nursery.live(folder, trace=powerloss.RECORD, out=trace, **how) == 0
    return powerloss.steps(trace, folder)


def check_image(image, said, folder):
    """A store whose power was cut is whole, and what was said is in it."""
    for part in folder.glob("store.db*"):
        part.unlink()
    for name, data in image.items():
        (folder / name).write_bytes(data)
    store = folder / "store.db"
    logs = invariants.of_file(store) if store.exists() else {}
    sqlite_wal.refuse(store)  # a loss of power is no damage
    lives.kept(logs, lives.Said(said))
    return logs


def images_of(steps, seed, folder, *, ordered):
    """Every crash image of a run, looked over; yields what each one is, with its logs."""
    replay, chance = powerloss.Replay(ordered=ordered), random.Random(seed)
    folder.mkdir()
    before = -1
    for number, step in enumerate(steps):
        replay.follow(step)
        if step.kind in {"wrote", "made"} and chance.random() < 0.5 and number - before < 3:
            continue  # (between two syncs there are many writes, and their images are much alike)
        before = number
        for what, image in replay.images(chance):
            try:
                yield what, check_image(image, replay.said, folder), list(replay.said)
            except Exception as error:
                raise Broken(f"seed {seed}, step {number} of {len(steps)}, {what}: {error}") from error


@pytest.mark.parametrize("seed", range(SEED, SEED + SEEDS))
def test_what_was_acknowledged_outlives_a_loss_of_power(seed, nursery, tmp_path, figures):
    steps = recorded(nursery, tmp_path / "run", checkpoint=(20, 60, 1000)[seed % 3])
    assert Counter(step.kind for step in steps)["synced"] > 10
    kinds, chance, resumed = Counter(), random.Random(seed), 0
    folder = tmp_path / "image"
    for what, logs, said in images_of(steps, seed, folder, ordered=bool(seed % 2)):
        kinds[what] += 1
        if resumed < RESUMED and chance.random() < RESUMED / (4 * len(steps)):
            resumed += 1
            said_by(folder).write_text("".join(line + "\n" for line in said))
            lives.to_the_end(nursery, folder, logs)
    assert min(kinds.values()) > 100
    figures.append(f"faults: {kinds.total()} crash images of seed {seed}, {resumed} of them carried to their end")
