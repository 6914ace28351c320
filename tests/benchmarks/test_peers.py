"""That ours and a peer are given the same work and set side by side; no peer is needed for it."""

import sys
from pathlib import Path

import pytest
from benchmarks import __main__ as benchmarks
from benchmarks.peers import compare, places

ALL = {"restate", "temporal", "dbos", "langgraph", "moto", "localstack", "aws-local-stepfunctions"}


@pytest.fixture
def _stub(tmp_path, monkeypatch):
    """In the place of a peer: a script that takes ten milliseconds for whatever it is given."""
    script = tmp_path / "stub.py"
    script.write_text("print('hello')\nprint(0.01)\n", "utf-8")
    monkeypatch.setattr(compare, "command_of", lambda *_: [sys.executable, str(script)])
    monkeypatch.setattr(places, "version_of", lambda *_: "1.2.3")
    monkeypatch.chdir(tmp_path)


def test_the_peers_are_a_contract():
    assert set(compare.PEERS) == ALL
    assert all((Path(compare.__file__).parent / peer.script).is_file() for peer in compare.PEERS.values())


@pytest.mark.parametrize("work", ["map", "map_pass", "steps", "calls"])
def test_ours_does_each_work(work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compare.ours(work, 10) > 0


@pytest.mark.usefixtures("_stub")
@pytest.mark.parametrize("name", sorted(ALL))
def test_a_peer_stands_beside_ours_with_the_ratio(name, capsys):
    benchmarks.main(["peers", name, "--quick"])
    _, *lines, about = capsys.readouterr().out.splitlines()
    assert len(lines) == len(compare.PEERS[name].sizes)
    assert all(line.startswith(name) and "1.2.3" in line for line in lines)
    assert "CPUs, load" in about


def test_one_that_cannot_be_had_is_skipped_loudly(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare.shutil, "which", lambda _: None)
    benchmarks.main(["peers", "aws-local-stepfunctions", "--places", str(tmp_path)])
    told = capsys.readouterr().err
    assert "!!! aws-local-stepfunctions: SKIPPED, there is no npm here" in told


def test_a_script_that_fails_is_told_by_its_last_line(tmp_path):
    with pytest.raises(places.CannotBeHad, match="its script failed: ValueError: no luck"):
        places.taken([sys.executable, "-c", "raise ValueError('no luck')"], tmp_path, 10)
    with pytest.raises(places.CannotBeHad, match="had not ended"):
        places.taken([sys.executable, "-c", "import time; time.sleep(9)"], tmp_path, 0.1)


def test_whether_it_is_as_wanted():
    assert compare.Compared("p", "1", "map", 10, 300, 30).verdict == "as wanted: >= 30"
    assert compare.Compared("p", "1", "map", 10, 299, 30).verdict == "SHORT: >= 30"
    assert compare.Compared("p", "1", "map", 10, 299, None).verdict == ""


def test_the_page_tells_what_was_compared():
    page = compare.page([compare.Compared("dbos", "1", "map", 10, 300, 30)], "then and there")
    assert "| dbos | 1 | SQLite | map | 10 | 300 | 30.0 | as wanted: >= 30 |" in page
    assert "`map`: one Map" in page


def test_a_peer_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["peers", "nobody"])
    assert "no peer is called nobody" in capsys.readouterr().err
