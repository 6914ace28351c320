"""That the soak keeps its pace, looks, and can tell what grows from what does not."""

import anyio
import pytest
from benchmarks import __main__ as benchmarks
from benchmarks import soak
from benchmarks.soak import Sample, judged


def test_it_runs_and_tells(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(soak, "SLOPE", 1e9)
    monkeypatch.setattr(soak, "IN_FLIGHT", 1_000)
    monkeypatch.setattr(soak, "KEPT", 50)  # so that some are forgotten
    benchmarks.main(["soak", "--minutes", "0.02", "--every", "0.05"])
    told = capsys.readouterr().out
    assert told.startswith("highest load ")
    assert "flat: " in told.splitlines()[-1]


def test_it_fails_where_memory_grows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(soak, "SLOPE", -1e9)
    with pytest.raises(SystemExit):
        soak.main(["--minutes", "0.02", "--every", "0.05"])


def test_a_leak_is_told_from_what_comes_and_goes():
    steady = [Sample(at, 80 + at % 2, 17, 103 + at * 7 % 5) for at in range(100)]
    assert judged(steady).is_flat
    assert not judged([one._replace(memory=80 + one.at / 300) for one in steady]).is_flat
    assert not judged([one._replace(files=17 + int(one.at) // 10) for one in steady]).is_flat
    assert not judged([one._replace(tasks=103 + int(one.at)) for one in steady]).is_flat


def test_a_pace_is_kept(tmp_path):
    async def paced() -> float:
        engine = soak.Engine(tmp_path / "soak.db")
        engine.register("work", soak.Function(soak.machines.work))
        async with engine:
            load = soak.Load(engine, await engine.create("five", soak.machines.FIVE))
            return await load.run(0.5, 100)

    assert anyio.run(paced) <= 210  # a first turn of every caller is due at once
