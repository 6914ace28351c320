"""Writes the README's table of integrations from the tables of the code: `python tools/list_integrations.py`.

With `--check` nothing is written; the exit code says whether the table is what would be written. Needs botocore, whose
models say where a service takes a client token.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stepfold.language.integrations import INTEGRATIONS
from stepfold.language.resources import Resource, parse_resource
from stepfold.work.services import calls, models
from stepfold.work.services.awaited import AWAITED

TARGET: Final = Path(__file__).parents[1] / "README.md"
HEAD: Final = """\
| service | answers | waits for a token | waits for the job | a job submitted twice |
|---|---|---|---|---|
"""
END: Final = "\n\n"
LABELLED: Final = {("eks", "runJob")}
"""Jobs that we mark ourselves."""


def table() -> str:
    """The table, without an end of line."""
    return HEAD + "\n".join(_rows())


def _rows() -> Iterator[str]:
    for kind, actions in sorted(INTEGRATIONS.items()):
        answers = [name for name, suffixes in actions.items() if "" in suffixes]
        tokens = [name for name, suffixes in actions.items() if "waitForTaskToken" in suffixes]
        jobs = [name for name, suffixes in actions.items() if "sync" in suffixes]
        yield f"| `{kind}` | {_cell(answers)} | {_cell(tokens)} | {_cell(jobs)} | {_twice(kind, jobs)} |"
    yield "| `aws-sdk:SERVICE` | every action of every service that boto3 knows | every action | | |"


def _cell(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _twice(kind: str, jobs: list[str]) -> str:
    """What keeps a job that was being handed over at a crash from being there twice."""
    said: dict[str, list[str]] = {}
    for name in jobs:
        said.setdefault(_known_again(parse_resource(f"arn:aws:states:::{kind}:{name}")), []).append(name)
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{how}: {_cell(names)}" for how, names in said.items())


def _known_again(resource: Resource) -> str:
    if resource.kind == "states":
        return "known by its name"
    if (resource.kind, resource.action) in LABELLED:
        return "known by a label"
    if (asked := models.operation(resource)) is not None and calls.client_tokens(asked):
        return "known by its client token"
    job = AWAITED[resource.kind][resource.action]
    if job.taken:
        return "known by its name"
    return "possible" if job.stop else "harmless"


def rewritten(readme: str) -> str:
    """The README with the table as it should be."""
    before, _, rest = readme.partition(HEAD)
    _, _, after = rest.partition(END)
    return f"{before}{table()}{END}{after}"


def main(arguments: list[str]) -> int:
    """Write, or check."""
    readme = TARGET.read_text(encoding="utf-8")
    right = rewritten(readme)
    if "--check" in arguments:
        return int(readme != right)
    TARGET.write_text(right, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
