"""That each benchmark runs and tells its figures in the agreed shape; what they are is nobody's business here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import __main__ as benchmarks

NAMES = [
    "decide", "fold", "append", "append_ahead", "map_inline_10000", "map_inline_100000", "waits", "resume",
    "resume_million", "resume_snapshot", "resume_many", "loop", "loop_jsonata", "many", "api_describe", "api_start",
]  # fmt: skip


def test_the_names_are_a_contract():
    assert list(benchmarks.BENCHMARKS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_runs_and_tells_its_figures(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    benchmarks.main([name, "--quick", "--json", "figures.json"])
    (line,) = json.loads(Path("figures.json").read_text("utf-8"))
    assert list(line) == ["name", "figure", "unit", "yardstick", "ratio"]
    assert line["name"] == name
    assert line["unit"].endswith("/s")
    assert line["figure"] > 0
    assert line["yardstick"] > 0
    assert line["ratio"] > 0
    assert name in capsys.readouterr().out


def test_those_of_the_api_are_skipped_and_said_where_its_packages_are_missing(monkeypatch, capsys):
    monkeypatch.setattr(benchmarks.importlib.util, "find_spec", {}.get)
    benchmarks.main(["api", "--quick"])
    assert capsys.readouterr().err.count("skipped, for it needs the extra 'server'") == 2


def test_a_subject_names_all_of_its_benchmarks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    benchmarks.main(["core", "--quick", "--json", "figures.json"])
    assert [line["name"] for line in json.loads(Path("figures.json").read_text("utf-8"))] == ["decide", "fold"]


def test_a_name_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as refused:
        benchmarks.main(["speed"])
    assert refused.value.code == 2
    assert "no benchmark is called speed" in capsys.readouterr().err


def test_the_page_tells_the_figures_and_the_machine_but_not_where_it_stands():
    line = {"name": "fold", "figure": 10, "unit": "events/s", "yardstick": 20, "ratio": 0.5, "against": "decode"}
    page = benchmarks.page([line], 0.3, quick=False)
    assert "| fold | 10 | events/s | 20 | 0.50 | decode |  |" in page
    assert "CPUs, load 0.3" in page
    assert str(Path.cwd()) not in page


def test_a_map_of_ones_own_with_progress(tmp_path):
    Path(tmp_path, "mine.py").write_text("async def double(event):\n    return event * 2\n", "utf-8")
    root = Path(benchmarks.__file__).parent.parent
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks", "map", "--items", "50", "--concurrency", "5", "--handler", "mine:double",
         "--store", f"sqlite:///{tmp_path / 'own.db'}"],
        capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60,
        env={"PYTHONPATH": f"{root}:{root / 'engine'}:{root / 'store'}"},
    )
    assert told.stdout.startswith("50 items in ")
    assert " of 50 items" in told.stderr
