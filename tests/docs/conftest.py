"""The documents as tests read them: sections, fenced blocks, links."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    section: str
    language: str
    text: str


class Document:
    """A Markdown file of the project's own folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    def blocks(self, language: str, section: str | None = None) -> list[str]:
        found = []
        for heading, body in self.sections():
            if section is None or heading == section:
                found += [match[2] for match in _FENCE.finditer(body) if match[1] == language]
        return found

    def sections(self) -> list[tuple[str, str]]:
        parts = re.split(r"^## (.+)$", self.text, flags=re.MULTILINE)
        return [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]

    def section(self, heading: str) -> str:
        return dict(self.sections())[heading]

    def links(self) -> set[str]:
        return {link for link in _LINK.findall(self.text) if "://" not in link}


@pytest.fixture(scope="session")
def readme():
    return Document(ROOT / "README.md")


@pytest.fixture(scope="session")
def architecture():
    return Document(ROOT / "ARCHITECTURE.md")


@pytest.fixture
def anyio_backend():
    return "asyncio"  # the SQLite store is bound to it


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """An empty folder that looks like a checkout, with `stepfold` and `python` on the PATH as a venv has them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    for name, start in {"stepfold": f"{python} -m stepfold", "python": python}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {start} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "engine").symlink_to(ROOT / "engine")
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(ROOT / root) for root in ("engine", "store")))
    monkeypatch.delenv("STEPFOLD_STORE", raising=False)
    monkeypatch.chdir(folder)
    return folder
