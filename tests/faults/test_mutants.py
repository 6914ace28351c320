"""Are the fault tests awake? Each promise is broken on purpose, and its test must turn red within some runs.

The table at the end of a run says which test caught which mutant, and when. A mutant that needs strace is tried where
the level has strace tried at all.
"""

import gc
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from queue import SimpleQueue
from typing import NamedTuple

import anyio
import pytest
from hypothesis import Phase
from tests.faults import (
    lives,
    mutants,
    seeded,
    serving,
    test_bounds,
    test_catalog,
    test_copies,
    test_crashes,
    test_damage,
    test_disks,
    test_injected,
    test_orders,
    test_poison,
    test_powerloss,
    test_redrives,
    test_served,
    test_snapshots,
    test_stateful,
    test_stops,
    test_struck_snapshots,
    test_timers,
    test_wal,
)
from tests.faults.levels import LEVEL, SEED, needs_strace
from tests.service.served import ROOT, Served
from tests.store import test_promise

from stepfold_store import open_store

MOST = 1_000
"""A mutant must be caught within so many runs."""


class Place(NamedTuple):
    """Where a probe may work: a folder, what to break in this process, and what must be whole before that is done."""

    folder: object
    whole: list
    break_: Callable


Probe = Callable[[str, Place], Iterator[None]]


def crashing(_mutant, place):
    place.break_()
    for whole in place.whole:
        for dies in range(1, whole.commits + 1):
            for landed in (False, True):
                test_crashes.check(whole, [(dies, landed)])
                yield


def from_snapshots(mutant, place):
    test_snapshots.with_every_decision(place.break_.patch)
    yield from crashing(mutant, place)


def failing_commits(_mutant, place):
    place.break_()
    test_snapshots.with_every_decision(place.break_.patch)
    yield from test_snapshots.commits_that_fail(place.folder)


def flipping_snapshots(_mutant, place):
    place.break_()
    test_snapshots.with_every_decision(place.break_.patch)
    anyio.run(test_snapshots.flipped, place.folder)
    yield


def in_orders(main):
    def probe(_mutant, place):
        place.break_()
        for seed in count(1):
            seeded.run(seed, main, seed)
            yield

    return probe


def as_it_is(test, *arguments):
    """The test itself: one run."""

    def probe(_mutant, place):
        place.break_()
        test(*(argument(place) if callable(argument) else argument for argument in arguments))
        yield

    return probe


def awaited(test, *arguments):
    def probe(_mutant, place):
        place.break_()

        async def main():
            await test(*(argument(place) if callable(argument) else argument for argument in arguments))

        anyio.run(main)
        yield

    return probe


def of_a_store(test):
    """A test of the store's own, once, on SQLite."""

    def probe(_mutant, place):
        place.break_()

        async def main():
            opened = await open_store(store(place))
            try:
                await test(opened)
            finally:
                await opened.close()

        anyio.run(main)
        yield

    return probe


def folder(place):
    return place.folder


def store(place):
    return place.folder / "store.db"


def timers(_mutant, place):
    place.break_()
    for away in (0, 1_000, test_timers.DAY):
        test_timers.test_a_timer_outlives_a_crash(test_timers.RETRIED, away)
        yield
    for jump, late in ((-test_timers.HOUR, 0), (10 * test_timers.DAY, test_timers.HOUR)):
        test_timers.test_a_clock_that_is_set_rings_nothing_early(jump, late)
        yield


def redriving(_mutant, place):
    place.break_()
    for kind in test_redrives.MACHINES:
        test_redrives.test_a_redrive_keeps_what_succeeded(kind)
        yield


def backups(_mutant, place):
    place.break_()
    for number in range(20):
        anyio.run(test_copies.backed_up, place.folder, number)
        yield


def poisoned(_mutant, place):
    place.break_()

    async def main():
        aside, end, _ = await test_poison.raised_in_a_task(store(place), setattr_for(place))
        assert (aside, end) == (["bad"], "poison")

    anyio.run(main)
    yield


def setattr_for(place):
    return place.break_.patch


def full_disks(mutant, place):
    nursery = lives.Nursery()
    try:
        for kilobytes in range(40, 300, 40):
            disk = place.folder / f"disk-{kilobytes}"
            disk.mkdir()
            test_disks.stopped_clearly(nursery, disk, most=kilobytes << 10, mutants=[mutant])
            yield
    finally:
        nursery.close()


def broken_servers(mutant, place):
    """Have each server that is started be broken from its beginning."""
    environment = {"STEPFOLD_MUTANT": mutant, "PYTHONPATH": os.pathsep.join(
        map(str, (ROOT / "tests" / "faults" / "hook", ROOT / "engine", ROOT / "store", ROOT))
    )}
    place.break_.patch(Served, "__init__", _started_with(Served.__init__, environment))


def _started_with(made, environment):
    def init(served, *arguments):
        made(served, *arguments)
        start = served.start
        served.start = lambda *before: start(*before, **environment)

    return init


def of_servers(test, *arguments):
    """A test of servers, once."""

    def probe(mutant, place):
        broken_servers(mutant, place)
        test(*arguments, place.folder)
        yield

    return probe


def struck_servers(fault, call, whens):
    def probe(mutant, place):
        needs_strace()
        broken_servers(mutant, place)
        for when in whens:
            test_served.struck(place.folder / f"strike-{when}", fault, call, when)
            yield

    return probe


def images(mutant, place):
    needs_strace()
    nursery = lives.Nursery()
    try:
        for seed in range(3):
            steps = test_powerloss.recorded(nursery, place.folder / f"run-{seed}", mutants=[mutant], checkpoint=60)
            for _ in test_powerloss.images_of(steps, seed, place.folder / f"image-{seed}", ordered=True):
                yield
    finally:
        nursery.close()


def once_more(mutant, place):
    needs_strace()
    broken_servers(mutant, place)
    place.break_.patch(serving, "PATIENCE", 12)
    test_served.test_a_server_whose_disk_fails_once_more_goes_on_once_more({"pwrite64": 350}, place.folder)
    yield


def strikes(fault, call, whens):
    def probe(mutant, place):
        with one_nursery() as nurseries:
            for when in whens:
                test_injected.struck(
                    nurseries, place.folder / f"strike-{when}", fault, call, when, mutants=[mutant], checkpoint=100_000
                )
                yield

    return probe


def strikes_at_snapshots(fault, call):
    def probe(mutant, place):
        how = {**test_struck_snapshots.OFTEN, **test_struck_snapshots.SPILLING, "names": ("large",)}
        with one_nursery() as nurseries:
            many = test_injected.calls_of(nurseries, place.folder, **how)[call]
            resumed = test_struck_snapshots.Resumed(test_struck_snapshots.ends_in(place.folder / "counted"))
            for when in random.Random(SEED).sample(range(1, many + 1), 100):
                folder = place.folder / f"strike-{when}"
                test_injected.struck(nurseries, folder, fault, call, when, then=resumed, mutants=[mutant], **how)
                yield

    return probe


@contextmanager
def one_nursery():
    needs_strace()
    nurseries, nursery = SimpleQueue(), lives.Nursery()
    nurseries.put(nursery)
    try:
        yield nurseries
    finally:
        nursery.close()


TABLE: dict[str, tuple[int, str, Probe]] = {
    "synchronous_normal": (1, "test_what_was_acknowledged_outlives_a_loss_of_power", images),
    "acknowledged_before_the_commit": (1, "test_at_every_write_and_sync",
                                       strikes("kill", "pwrite64", range(60, 340, 10))),
    "a_group_stays_open_while_it_is_written": (1, "test_at_every_write_and_sync",
                                               strikes("kill", "fdatasync", range(8, 40))),
    "a_commit_is_tried_again": (1, "test_a_failed_sync_of_a_commit_is_never_tried_again",
                                strikes("EIO", "fdatasync", range(8, 40))),
    "a_full_disk_is_swallowed": (0, "test_a_file_that_may_not_grow", full_disks),
    "no_version_is_checked": (0, "test_two_owners_leave_one_line", in_orders(test_orders._owned_twice)),
    "checksums_are_not_looked_at": (0, "test_no_event_is_read_otherwise_than_it_was_written",
                                    awaited(test_damage.test_no_event_is_read_otherwise_than_it_was_written,
                                            folder, [])),
    "the_file_is_not_locked": (0, "test_a_server_that_is_held_keeps_its_store_and_a_dead_one_lets_go", awaited(
        test_stops.test_a_server_that_is_held_keeps_its_store_and_a_dead_one_lets_go, folder)),
    "any_format_is_read": (0, "test_a_store_of_a_later_release_is_refused_and_left_alone",
                           awaited(test_copies.refused, store, 2)),
    "a_backup_copies_the_file": (0, "test_a_backup_of_a_busy_store_goes_on_as_the_store_would", backups),
    "a_damaged_snapshot_is_believed": (0, "test_no_execution_is_folded_otherwise_than_its_log_was_written",
                                       flipping_snapshots),
    "a_snapshot_is_written_before_its_events": (0, "test_a_snapshot_is_never_ahead_of_its_events", failing_commits),
    "a_snapshot_leaves_a_field_out": (0, "test_a_crash_at_any_append_is_resumed_from_a_snapshot", from_snapshots),
    "what_fails_under_a_snapshot_takes_its_append_along": (
        1, "test_a_resume_after_any_strike_is_as_without_snapshots", strikes_at_snapshots("ENOSPC", "pwrite64")),
    "a_reader_keeps_its_place_open": (0, "test_a_slow_reader_does_not_let_the_log_grow", awaited(
        test_bounds.test_a_slow_reader_does_not_let_the_log_grow, folder, [])),
    "no_version_is_checked_in_the_file": (0, "test_a_stale_append_is_refused_whole",
                                          of_a_store(test_promise.test_a_stale_append_is_refused_whole)),
    "an_old_fence_is_let_in": (0, "test_an_old_fence_is_refused",
                               of_a_store(test_promise.test_an_old_fence_is_refused)),
    "who_goes_away_takes_the_write_along": (0, "test_cancelling_the_wait_does_not_cancel_the_write",
                                            of_a_store(test_promise.test_cancelling_the_wait_does_not_cancel_the_write)),
    "a_damaged_log_beside_the_file_is_cut_short": (0, "test_a_bit_flipped_in_the_log_beside_the_file_is_found",
                                                   awaited(test_wal.flipped, folder)),
    "what_the_catalog_says_is_believed": (0, "test_a_bit_flipped_in_an_entry_that_has_a_log_is_found",
                                          awaited(test_catalog.found_by_the_doctor, folder)),
    "a_damaged_entry_stops_everything": (
        0, "test_no_entry_keeps_the_store_from_opening_and_the_others_from_going_on",
        awaited(test_catalog.test_no_entry_keeps_the_store_from_opening_and_the_others_from_going_on, folder),
    ),
    "called_before_it_is_durable": (0, "test_a_crash_at_any_append_changes_nothing", crashing),
    "what_nobody_waits_for_is_not_followed": (0, "test_who_goes_away_unsays_nothing_and_nothing_is_stuck",
                                              in_orders(test_orders._cancelled)),
    "a_run_falls_asleep_with_work_left": (0, "test_a_long_run_is_carried_to_its_end", in_orders(test_orders._long)),
    "accepted_before_it_is_durable": (0, "test_an_engine_is_as_a_table_says",
                                      as_it_is(test_stateful.drawn, [Phase.generate])),
    "a_second_answer_is_let_in": (0, "test_whatever_is_accepted_acts", in_orders(test_orders._told)),
    "a_token_is_drawn_for_each_call": (0, "test_a_crash_at_any_append_changes_nothing", crashing),
    "timers_are_kept_as_seconds_left": (0, "test_a_timer_outlives_a_crash", timers),
    "a_clock_that_was_set_is_believed_late": (0, "test_a_clock_that_is_set_rings_nothing_early", timers),
    "the_flag_is_lowered_after_the_look": (0, "test_a_timer_rings_in_time_whenever_it_was_set",
                                           in_orders(test_orders._set_together)),
    "any_input_is_the_same": (0, "test_a_name_is_started_once_by_any_number_of_clients",
                              in_orders(test_orders._raced)),
    "the_end_waits_for_nobody": (0, "test_nobody_is_at_work_after_the_end", in_orders(test_orders._failing)),
    "what_goes_wrong_reaches_the_others": (0, "test_a_decision_that_raises_sets_its_execution_aside", poisoned),
    "a_redrive_does_all_again": (0, "test_a_redrive_keeps_what_succeeded", redriving),
    "a_stop_cuts_off": (0, "test_a_stop_under_load_is_orderly",
                        of_servers(test_stops.test_a_stop_under_load_is_orderly, 1)),
    "what_the_file_was_asked_for_is_not_looked_at": (1, "test_a_server_struck_at_every_write_and_sync",
                                                     struck_servers("EIO", "pwrite64", range(1, 6))),
    "a_failed_store_is_said_to_be_well": (0, "test_a_server_whose_file_may_not_grow_says_why",
                                          of_servers(test_served.test_a_server_whose_file_may_not_grow_says_why)),
    "a_store_is_opened_anew_but_once": (1, "test_a_server_whose_disk_fails_once_more_goes_on_once_more", once_more),
    "a_refusal_is_answered_as_if_done": (1, "test_a_server_struck_at_every_write_and_sync",
                                         struck_servers("EIO", "fdatasync", range(13, 20))),
    "a_stop_hangs_up_on_clients": (0, "test_at_a_stop_every_request_is_answered_or_was_not_heard",
                                   of_servers(
                                       test_served.test_at_a_stop_every_request_is_answered_or_was_not_heard, 1)),
}
"""Each mutant: from which level on it is tried, the test that must catch it, and that test's runs, one at a time."""


def patching(test, *arguments):
    """A test that patches something itself, and may undo that."""

    def probe(_mutant, place):
        place.break_()

        async def main():
            with pytest.MonkeyPatch.context() as patch:
                await test(*(argument(place) for argument in arguments), patch)

        anyio.run(main)
        yield

    return probe


def full_disk(mutant, place):
    nursery, disk = lives.Nursery(), place.folder / "disk"
    try:
        with test_disks.mounted(disk, "-o", "size=300k"):
            test_disks.stopped_clearly(nursery, disk, mutants=[mutant])
            yield
    finally:
        nursery.close()


def remounted(mutant, place):
    nursery, disk = lives.Nursery(), place.folder / "disk"
    try:
        with test_disks.mounted(disk, "-o", "size=8m"):
            test_disks.read_only(nursery, disk, mutants=[mutant])
            yield
    finally:
        nursery.close()


def release(_):
    return min(path.stem for path in test_copies.GOLDEN.iterdir())


MORE: dict[str, tuple[int, str, Probe]] = {
    "test_time_alone_costs_nothing": (0, "what_has_ended_is_kept", awaited(
        test_bounds.test_time_alone_costs_nothing, folder, [])),
    "test_an_entry_that_cannot_be_read_is_named_to_whoever_asks_for_it": (0, "a_damaged_entry_is_made_up", awaited(
        test_catalog.test_an_entry_that_cannot_be_read_is_named_to_whoever_asks_for_it, folder)),
    "test_a_machine_that_contradicts_its_key_or_names_nothing_is_found": (
        0, "what_has_no_log_is_not_looked_at",
        awaited(test_catalog.test_a_machine_that_contradicts_its_key_or_names_nothing_is_found, folder)),
    "test_a_busy_store_is_sound": (0, "an_entry_is_compared_with_a_log_of_another_moment", awaited(
        test_catalog.test_a_busy_store_is_sound, folder)),
    "test_a_store_of_each_release_is_sound": (0, "older_stores_are_refused", awaited(
        test_catalog.test_a_store_of_each_release_is_sound, release, folder)),
    "test_a_store_that_was_opened_can_be_opened_by_the_release_that_made_it": (
        0, "an_opening_changes_the_schema",
        awaited(test_copies.test_a_store_that_was_opened_can_be_opened_by_the_release_that_made_it, release, folder)),
    "test_a_store_of_each_release_opens_and_goes_on": (0, "older_stores_are_refused", awaited(
        test_copies.test_a_store_of_each_release_opens_and_goes_on, release, folder)),
    "test_a_start_that_was_never_acknowledged_may_be_repeated": (0, "called_before_it_is_durable", as_it_is(
        test_crashes.test_a_start_that_was_never_acknowledged_may_be_repeated, [(1, False)])),
    "test_a_damaged_execution_is_set_aside_and_the_others_go_on": (0, "checksums_are_not_looked_at", awaited(
        test_damage.test_a_damaged_execution_is_set_aside_and_the_others_go_on, folder)),
    "test_a_file_that_was_cut_off_is_refused_or_named": (0, "what_sqlite_says_is_not_put_into_words", awaited(
        test_damage.test_a_file_that_was_cut_off_is_refused_or_named, 4_096, folder)),
    "test_a_file_that_was_cut_to_nothing_beside_its_log_is_refused_and_left_alone": (
        0, "a_file_that_was_cut_is_a_new_store",
        awaited(test_damage.test_a_file_that_was_cut_to_nothing_beside_its_log_is_refused_and_left_alone, folder)),
    "test_a_damage_that_sqlite_cannot_put_into_words_is_refused_as_one": (
        0, "what_sqlite_says_is_not_put_into_words",
        awaited(test_damage.test_a_damage_that_sqlite_cannot_put_into_words_is_refused_as_one, folder)),
    "test_a_full_disk": (1, "a_full_disk_is_swallowed", full_disk),
    "test_a_disk_that_may_only_be_read": (1, "what_a_disk_refuses_is_not_put_into_words", remounted),
    "test_what_comes_too_late_is_nobodys": (0, "a_second_answer_is_let_in", in_orders(test_orders._late)),
    "test_made_machines_end_alike_in_any_order": (0, "called_before_it_is_durable", as_it_is(
        test_orders.test_made_machines_end_alike_in_any_order, [])),
    "test_what_was_acknowledged_outlives_a_crash_in_any_order": (0, "told_before_it_is_durable",
                                                                 in_orders(test_orders._cut)),
    "test_a_handler_whose_process_dies_fails_its_own_task": (0, "a_process_that_dies_has_answered", awaited(
        test_poison.test_a_handler_whose_process_dies_fails_its_own_task, folder)),
    "test_a_start_that_cannot_be_decided_is_told_to_its_caller_alone": (0, "what_never_began_is_set_aside", patching(
        test_poison.test_a_start_that_cannot_be_decided_is_told_to_its_caller_alone)),
    "test_a_log_that_cannot_be_folded_is_set_aside": (0, "checksums_are_not_looked_at", patching(
        test_poison.test_a_log_that_cannot_be_folded_is_set_aside, folder)),
    "test_a_handler_that_burns_its_processor_holds_nobody_up": (1, "a_handler_holds_the_loop", awaited(
        test_poison.test_a_handler_that_burns_its_processor_holds_nobody_up, folder)),
    "test_the_limit_of_a_machine_outlives_a_crash": (0, "the_limit_of_a_machine_begins_anew", as_it_is(
        test_timers.test_the_limit_of_a_machine_outlives_a_crash)),
    "test_a_wait_of_a_year_is_as_long_as_it_says": (0, "timers_are_kept_as_seconds_left", as_it_is(
        test_timers.test_a_wait_of_a_year_is_as_long_as_it_says)),
    "test_a_file_that_cannot_be_made_a_store_is_refused": (
        1, "what_the_file_was_asked_for_is_not_looked_at", struck_servers("EIO", "pwrite64", range(1, 6))),
    "test_a_log_that_ends_anywhere_is_opened_as_far_as_it_goes": (0, "a_torn_commit_is_taken_for_damage", awaited(
        test_wal.test_a_log_that_ends_anywhere_is_opened_as_far_as_it_goes, folder)),
    "test_a_commit_that_was_torn_is_forgotten_and_written_over": (0, "a_torn_commit_is_taken_for_damage", awaited(
        test_wal.test_a_commit_that_was_torn_is_forgotten_and_written_over, folder)),
}
"""Each of the other tests: from which level on, a mutant that it must catch, and its runs."""


@pytest.fixture(scope="module")
def whole():
    return list(test_crashes.machines(20))


def runs_until_red(runs):
    """How many runs it took, and what was found."""
    for number in count(1):
        try:
            next(runs)
        except StopIteration:
            return None, "nothing"
        except (Exception, pytest.fail.Exception) as found:  # noqa: BLE001
            return number, f"{type(found).__name__}: {found}"
        if number == MOST:
            return None, "nothing"
    return None


TRIED = [(mutant, *row) for mutant, row in TABLE.items()]
TRIED += [(mutant, level, test, probe) for test, (level, mutant, probe) in MORE.items()]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("mutant", "level", "test", "probe"), TRIED, ids=[f"{row[0]}-{row[2]}" for row in TRIED])
def test_a_mutant_is_caught(mutant, level, test, probe, whole, tmp_path, monkeypatch, figures):
    if level > LEVEL:
        pytest.skip(f"only with STEPFOLD_FAULTS={level}")

    def break_():
        mutants.apply(mutant, monkeypatch.setattr)

    break_.patch = monkeypatch.setattr
    runs, found = runs_until_red(probe(mutant, Place(tmp_path, whole, break_)))
    gc.collect()  # what was broken has left things open: they are this test's
    assert runs is not None, f"{test} did not notice"
    promises = ", ".join(mutants.TABLE[mutant][1])
    figures.append(f"mutant {mutant} ({promises}): {test}, run {runs}: {' '.join(found.split())[:90]}")


def test_the_runs_that_catch_mutants_are_green_without(whole, tmp_path):
    """A probe that is red anyway would prove nothing; each is what its test runs, and those are green."""
    probe = crashing("none", Place(tmp_path, whole[:2], lambda: None))
    assert runs_until_red(probe) == (None, "nothing")
