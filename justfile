# One word a task. `just` lists them. Everything runs from the project's own .venv, which the first one makes.

bin := ".venv/bin"

_default:
    @just --list --unsorted

# What must hold before a change is kept: lint, types, tests
check: lint
    {{bin}}/python -m pytest -q -n auto --dist loadfile

# ruff and mypy
lint: _venv
    {{bin}}/ruff check .
    {{bin}}/mypy

# The tests, or some of them: `just test tests/laws -x`
test *arguments: _venv
    {{bin}}/python -m pytest -q {{arguments}}

# The article's workflow, live
demo *arguments: _venv
    {{bin}}/stepfold demo {{arguments}}

# All benchmarks, or those named: `just bench append map`
bench *arguments: _venv
    {{bin}}/python -m benchmarks {{arguments}}

# Sorted imports and whatever else ruff can put right, in the files named: `just format engine/stepfold/cli`
format +paths: _venv
    {{bin}}/ruff check --fix {{paths}}
    {{bin}}/ruff format {{paths}}

# All of it on a fresh venv, with the demo in both languages and a look into the wheel
ci:
    .ci/run

_venv:
    @test -x {{bin}}/ruff || (python3 -m venv .venv && {{bin}}/pip install -q -e '.[test,lint]')
