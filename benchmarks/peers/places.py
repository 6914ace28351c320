"""Where peers live: a folder for each, with packages of its own that never touch the project's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

INSTALL_SECONDS = 600


class CannotBeHad(Exception):
    """A peer that cannot be set up here; the message says why."""


def python_of(home: Path, packages: Sequence[str]) -> Path:
    """The interpreter of a venv that has these packages; made if it is not there."""
    python, done = home / "venv" / "bin" / "python", home / "venv" / "done"
    if not done.exists():
        venv.create(home / "venv", with_pip=True, clear=True)
        _run([str(python), "-m", "pip", "install", "--quiet", *packages], home)
        done.touch()
    return python


def modules_of(home: Path, packages: Sequence[str]) -> Path:
    """The folder of npm packages; made if it is not there."""
    folder = home / "npm"
    if not (folder / "done").exists():
        if shutil.which("npm") is None:
            raise CannotBeHad("there is no npm here")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True}), "utf-8")
        _run(["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", *packages], folder)
        (folder / "done").touch()
    return folder


def version_of(home: Path, package: str) -> str:
    """What was installed."""
    manifest = home / "npm" / "node_modules" / package / "package.json"
    if manifest.exists():
        return str(json.loads(manifest.read_bytes())["version"])
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    return _run([str(home / "venv" / "bin" / "python"), "-c", ask], home).strip()


def _run(command: list[str], folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            command, cwd=folder, env=clean(), capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout).strip().splitlines()[-1:]
        raise CannotBeHad(f"{command[0]} failed: {' '.join(last)}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBeHad(str(error)) from None
    return done.stdout


def clean() -> dict[str, str]:
    """The environment without what makes our own packages importable."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}} | {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1"
    }


def taken(command: list[str], folder: Path, seconds: float) -> float:
    """What a peer's script prints last: the seconds that its work took."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=clean(), capture_output=True, text=True, check=True, timeout=seconds
        )
        return float(done.stdout.split()[-1])
    except subprocess.TimeoutExpired:
        raise CannotBeHad(f"it had not ended after {seconds:.0f} s") from None
    except (subprocess.CalledProcessError, IndexError, ValueError) as error:
        told = str(getattr(error, "stderr", error)).strip().splitlines()[-1:]
        raise CannotBeHad(f"its script failed: {' '.join(told)}") from None
