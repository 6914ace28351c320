"""What a wheel must hold: every file of the two packages, those that are not Python above all.

python .ci/wheel.py WHEEL
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOTS = (ROOT / "engine", ROOT / "store")
NEEDED = (
    "stepfold/py.typed",
    "stepfold_store/py.typed",
    "stepfold_store/sqlite.sql",
    "stepfold/work/functions/bootstrap/bootstrap.mjs",
    "stepfold/work/functions/bootstrap/bootstrap.py",
    "stepfold/examples/article/statemachine.asl.json",
    "stepfold/examples/article/template-node.yaml",
    "stepfold/examples/article/template-python.yaml",
    "stepfold/examples/article/node/fetch_data.js",
    "stepfold/examples/article/python/fetch_data.py",
    "stepfold/examples/orders/template.yaml",
    "stepfold/examples/starter/template.yaml",
    "stepfold/examples/starter/node/start_next.js",
    "stepfold/examples/starter/python/start_next.py",
)


def main(wheel: str) -> None:
    """Look into the wheel; ends the process with what is wrong."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    held = {name for name in names if ".dist-info/" not in name}
    there = {
        path.relative_to(root).as_posix()
        for root in ROOTS
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = (there | set(NEEDED)) - held
    foreign = held - there
    licence = any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    if missing or foreign or not licence:
        sys.exit(f"{wheel}: missing {sorted(missing)}, not ours {sorted(foreign)}, licence {licence}")
    print(f"{Path(wheel).name}: {len(held)} files, nothing missing")


main(sys.argv[1])
