"""doctor and backup: what is damaged is found, whatever was damaged; a copy made under load is a whole store."""

import json
import sqlite3
from contextlib import closing

import anyio
import anyio.lowlevel
import pytest
from tests.runtime.world import FUNCTION, call, each, wait

from stepfold import Engine
from stepfold.cli.outcome import Exit
from stepfold.runtime.recovery import quarantine
from stepfold.runtime.recovery.doctor import examine
from stepfold.runtime.runs import folding
from stepfold_store import StoreError, open_store

PAGE = 4096


async def fill(path, executions=30):
    """A store with executions that have ended, and one that has not."""
    engine = Engine(path)
    engine.work("work")(lambda event: event)
    async with engine:
        machine = await engine.create("machine", each(call()))
        handles = [await engine.start(machine, ["x" * 300] * 5, name=f"e{number}") for number in range(executions)]
        for handle in handles:
            await handle.result()
        await engine.start(await engine.create("waits", wait(10**6)), name="waits")
    return [handle.arn for handle in handles]


@pytest.fixture
def store(here):
    anyio.run(fill, here / "s.db")
    return here / "s.db"


def damage(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER log_is_never_changed")
        db.execute("UPDATE log SET body = body || ' ' WHERE stream = 3 AND first > 5")
        db.execute(
            "CREATE TRIGGER log_is_never_changed BEFORE UPDATE ON log BEGIN\n"
            "    SELECT RAISE(ABORT, 'the log is append-only');\nEND"
        )
        db.commit()


def test_a_sound_store(sf, store):
    told = sf("doctor", store)
    assert told.exit_code == Exit.OK
    assert "the store is sound: 31 executions are whole" in told.stdout
    found = json.loads(sf("doctor", store, "--json").stdout)
    assert (found["sound"], found["executions"], found["damaged"], found["problems"]) == (True, 31, [], [])


def test_damage_is_named_with_what_can_be_saved(sf, store):
    damage(store)
    told = sf("doctor", store)
    assert told.exit_code == Exit.STORE
    assert ":e2 (SUCCEEDED) is damaged at event " in told.stdout
    assert "30 executions are whole" in told.stdout
    (broken,) = json.loads(sf("doctor", store, "--json").stdout)["damaged"]
    assert broken["eventsWhole"] == broken["event"] - 1 >= 5


@pytest.mark.parametrize("row", [b"{", b'{"machine": 5}', b'{"machine":"\xc9x"}'])
def test_a_row_of_the_catalog_that_is_no_text_is_named(sf, store, row):
    with closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE catalog SET data = ? WHERE key LIKE '%:e2'", [row])
        db.commit()
    told = sf("doctor", store)
    assert told.exit_code == Exit.STORE
    assert "the catalog's entry of arn" in told.stdout


def test_what_is_set_aside_is_told_everywhere_and_tried_again_when_asked(sf, store):
    async def put():
        opened = await open_store(store)
        arn = "arn:aws:states:us-east-1:123456789012:execution:waits:waits"
        await quarantine.put(opened, arn, quarantine.AsideRow("it had no luck"), 5)
        await opened.close()

    anyio.run(put)
    told = sf("doctor", store)
    assert told.exit_code == Exit.FAILED
    assert ":waits is set aside: it had no luck" in told.stdout
    assert "--retry NAME" in told.stdout
    assert "SET_ASIDE" in sf("list", "--store", store).stdout
    listed = json.loads(sf("list", "--store", store, "--json").stdout)["executions"]
    (row,) = [one for one in listed if "setAside" in one]
    assert (row["name"], row["status"], row["setAside"]) == ("waits", "RUNNING", "it had no luck")
    shown = sf("show", "waits", "--store", store)
    assert "SET_ASIDE" in shown.stdout
    assert "it had no luck" in shown.stdout
    assert "--retry waits" in shown.stderr
    told = sf("resume", "--store", store)
    assert told.exit_code == Exit.STORE
    assert "set aside: " in told.stdout
    assert sf("resume", "--retry", "e1", "--store", store).exit_code == Exit.BAD_INPUT
    assert sf("stop", "waits", "--store", store).exit_code == Exit.OK
    assert sf("doctor", store).exit_code == Exit.OK


def test_what_is_tried_again_goes_on(sf, here, write):
    machine = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": FUNCTION + "missing", "End": True}}}
    sf("run", write("m.asl.json", machine), "--name", "one", "--store", here / "s.db")

    async def put():
        opened = await open_store(here / "s.db")
        arn = "arn:aws:states:us-east-1:123456789012:execution:m:one"
        await quarantine.put(opened, arn, quarantine.AsideRow("it had no luck"), 5)
        await opened.close()

    anyio.run(put)
    assert sf("resume", "--store", here / "s.db").exit_code == Exit.STORE
    assert sf("resume", "--retry", "one", "--store", here / "s.db").exit_code == Exit.WAITS
    assert sf("resume", "--store", here / "s.db").exit_code == Exit.WAITS


def test_a_snapshot_that_cannot_be_used_is_told_and_harms_nothing(sf, here, monkeypatch):
    monkeypatch.setattr(folding, "EVENTS", 1)
    anyio.run(fill, here / "s.db", 1)
    assert "1 snapshots can be used" in sf("doctor", here / "s.db").stdout
    with closing(sqlite3.connect(here / "s.db")) as db:
        db.execute("UPDATE snapshot SET checksum = zeroblob(16)")
        db.commit()
    told = sf("doctor", here / "s.db")
    assert told.exit_code == Exit.OK
    assert "the store is sound: 2 executions are whole" in told.stdout
    assert "the snapshot of arn:aws:states:us-east-1:123456789012:execution:waits:waits cannot be used" in told.stdout
    assert "--drop-snapshots" in told.stdout
    found = json.loads(sf("doctor", here / "s.db", "--json").stdout)
    assert (found["sound"], found["snapshots"], len(found["uselessSnapshots"])) == (True, 0, 1)
    told = sf("doctor", here / "s.db", "--drop-snapshots")
    assert told.exit_code == Exit.OK
    assert "1 snapshots dropped" in told.stdout
    assert "cannot be used" not in told.stdout


def test_every_page_can_be_lost_and_nothing_wrong_is_ever_told(store, tmp_path):
    """Each page in turn is overwritten: the damage is found, and whatever still opens gives right answers only."""
    whole = store.read_bytes()
    arns = {row[0] for row in sqlite3.connect(store).execute("SELECT key FROM catalog WHERE kind = 'execution'")}
    refused = opened = 0

    async def look(path):
        try:
            found = await examine(str(path))
        except StoreError:
            return None
        return found

    async def use(path):
        async with Engine(path) as engine:
            answers = {}
            for arn in arns:
                try:
                    answers[arn] = (await engine.describe(arn)).output
                except Exception as error:  # noqa: BLE001
                    answers[arn] = error
            return answers

    copy = tmp_path / "copy.db"
    for page in range(len(whole) // PAGE):
        content = bytearray(whole)
        place = slice(page * PAGE, (page + 1) * PAGE)
        content[place] = bytes(255 - byte for byte in content[place])
        copy.write_bytes(content)
        found = anyio.run(look, copy)
        assert found is None or not found.sound, f"page {page + 1}"
        try:
            answers = anyio.run(use, copy)
            opened += 1
        except StoreError:
            refused += 1
            continue
        right = json.dumps(["x" * 300] * 5, separators=(",", ":"))
        assert {answer for answer in answers.values() if isinstance(answer, str)} <= {right}
        for side in ("-wal", "-shm"):
            copy.with_name(copy.name + side).unlink(missing_ok=True)
    assert opened > refused, f"{opened} opened, {refused} refused"


def test_a_store_that_is_none(sf, here):
    assert sf("doctor", here / "none.db").exit_code == Exit.STORE
    (here / "empty.db").touch()
    told = sf("doctor", here / "empty.db")
    assert (told.exit_code, len(told.stdout.splitlines())) == (Exit.STORE, 2)
    assert "it is empty: a new store, or one that was cut to nothing" in told.stdout
    (here / "text.db").write_text("no database, " * 999)
    told = sf("doctor", here / "text.db")
    assert told.exit_code == Exit.STORE
    assert "backup" in told.stderr


def test_a_backup_is_examined_and_never_written_over_a_file(sf, store, here):
    told = sf("backup", store, here / "copy.db")
    assert told.exit_code == Exit.OK
    assert "31 executions are whole" in told.stdout
    assert [one.name for one in here.glob("copy.db*")] == ["copy.db"], "one file, which wants no log beside it"
    assert sf("backup", store, here / "copy.db").exit_code == Exit.STORE
    damage(store)
    told = sf("backup", store, here / "second.db", "--json")
    assert told.exit_code == Exit.STORE
    assert json.loads(told.stdout)["damaged"]
    assert sf("backup", store, here / "no" / "folder.db").exit_code == Exit.STORE, "the folder is made"
    assert not list(here.rglob("*.part"))


@pytest.mark.anyio
async def test_copies_made_under_load_are_whole_and_go_on(tmp_path):
    """Examined while it grows; each copy is folded, and resumed to what it would have come to."""
    path = tmp_path / "s.db"
    engine = Engine(path)

    @engine.work("work")
    async def work(event):
        await anyio.lowlevel.checkpoint()
        return event

    done = []

    async def load(machine):
        while len(done) < 3:
            await (await engine.start(machine, list(range(5)))).result()

    async with engine:
        machine = await engine.create("machine", each(call()))
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(load, machine)
            for number in range(3):
                await anyio.sleep(0.05)
                copy = tmp_path / f"{number}.db"
                await engine.store.backup(str(copy))
                assert (await examine(str(copy))).sound
                assert (await examine(str(path))).sound
                done.append(copy)
    for copy in done:
        again = Engine(copy, work=[])
        again.register("work", engine.workers.find(FUNCTION + "work", None).worker)
        async with again:
            for one in await again.list(limit=10_000):
                assert await again.execution(one.arn).result() == list(range(5))
