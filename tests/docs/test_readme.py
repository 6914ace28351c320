"""The README's word: its examples run, its commands do what it says, its tables list what is there."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
ARTICLE = {"dataId": "trees", "processed": ["ASH", "BIRCH", "CEDAR", "ELM", "FIR", "OAK", "YEW"], "saved": 7}


def objects(text):
    """Every JSON object that stands in a text."""
    decoder = json.JSONDecoder()
    for place in (match.start() for match in re.finditer(r"\{", text)):
        try:
            yield decoder.raw_decode(text, place)[0]
        except ValueError:
            continue


def run(*command, code=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


# --- the first minute -------------------------------------------------------------------------------------------------


def test_the_first_line_to_paste_ends_with_the_demo_and_the_second_is_the_tests(readme):
    first, second, *_ = readme.blocks("sh")
    assert first == "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/stepfold demo\n"
    assert second == ".venv/bin/python -m pytest -q -n auto --dist loadfile\n"


def test_ci_calls_the_test_command_of_the_readme(readme):
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    marker = re.search(r"test_command=\$\(readme '([^']+)'\)", ci)[1]
    called = next(line for line in readme.text.splitlines() if marker in line)
    assert called == readme.blocks("sh")[1].strip()
    assert "pip\" install -q -e '.[test,lint]'" in ci
    run("bash", "-n", str(ROOT / ".ci" / "run"))


def test_the_demo_shows_the_output_that_the_readme_shows(readme, checkout):
    (shown,) = readme.blocks("json", "First run")
    assert json.loads(shown) == ARTICLE
    done = run("stepfold", "demo")
    assert ARTICLE in list(objects(done.stdout))
    for state in ("Fetch All My Data", "Process My Data", "Do I have more data?", "Save My Data"):
        assert state in done.stdout


# --- examples ---------------------------------------------------------------------------------------------------------


def test_the_embedding_example_runs_and_runs_again_on_its_store(readme, checkout):
    (example,) = readme.blocks("python", "In your program")
    for _ in range(2):
        done = run(sys.executable, "-W", "error", "-c", example)
        told, output = done.stdout.splitlines()[-2:]
        assert re.fullmatch(r"attempt 1, until \d+\.\d+, key arn:aws:states:.+:execution:ship:.+#\d+", told)
        assert output.endswith("'parcels': ['a parcel with a teapot', 'a parcel with a cup']}")


@pytest.mark.anyio
async def test_the_starlette_app_answers_with_results_and_opens_again(readme, checkout):
    (example,) = readme.blocks("python", "In a web service")
    assert len(example.splitlines()) <= 32
    for name in ("Ada", "Grace"):
        there = {"__name__": "service"}
        exec(compile(example, "README.md", "exec"), there)  # noqa: S102 - the very purpose
        app = there["app"]
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
        ):
            assert (await client.get("/")).json() == {"greeting": "Hello, world!"}
            answers = await asyncio.gather(*(client.post("/greet", json={"name": name}) for _ in range(10)))
            assert [answer.json() for answer in answers] == [{"greeting": f"Hello, {name}!"}] * 10


# --- the command line -------------------------------------------------------------------------------------------------


AMID = """sleep() {
    until stepfold history demo --store killed.db 2>&1 | grep -q LambdaFunctionSucceeded; do command sleep 0.1; done
}
"""
"""In the place of five seconds, in which a crowded machine may not have come as far."""


def test_what_is_killed_carries_on(readme, checkout):
    (commands,) = readme.blocks("sh", "Kill it, and carry on")
    told = run("bash", "-c", AMID + commands).stdout
    assert re.search(r"^demo +RUNNING ", told, flags=re.MULTILINE), "the list, before the resume"
    assert re.search(r"demo +SUCCEEDED ", told), "the resume"
    shown = json.loads(run("stepfold", "show", "demo", "--store", "killed.db", "--json").stdout)
    assert json.loads(shown["output"]) == ARTICLE
    history = json.loads(run("stepfold", "history", "demo", "--store", "killed.db", "--json").stdout)["events"]
    types = [event["type"] for event in history]
    assert types.count("LambdaFunctionScheduled") == types.count("LambdaFunctionSucceeded") == 5, "no call twice"


def test_every_command_and_option_named_is_there_and_every_command_is_named(readme):
    from stepfold.cli import main

    section = readme.section("The command line")
    named = set(re.findall(r"^\| `stepfold (\w+)", section, flags=re.MULTILINE))
    assert named == set(main.commands)
    options = {option for command in main.commands.values() for one in command.params for option in one.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", readme.section("The command line"))) <= options


def test_the_exit_codes_are_those_of_the_program(readme):
    from stepfold.cli.outcome import EXIT_CODES, Exit

    told = re.findall(r"^\| (\d+) \| (.+) \|$", readme.section("The command line"), flags=re.MULTILINE)
    assert [int(code) for code, _ in told] == [int(code) for code in Exit]
    said = dict(re.findall(r"^ +(\d+) +(.+)$", EXIT_CODES, flags=re.MULTILINE))
    assert {code: text.replace("`", "") for code, text in told} == said


def test_the_named_limits_are_those_of_the_engine(readme):
    from stepfold import Limits
    from stepfold.work.functions.callables import PER_CORE
    from stepfold.work.workers import CALLS_IN_FLIGHT

    said = readme.section("Limits")
    assert f"{Limits.local().payload // 2**20} MiB a value" in said
    assert f"{Limits.aws().payload // 2**10} KiB a value and {Limits.aws().history:,} events" in said
    assert f"makes {CALLS_IN_FLIGHT} calls at once" in said
    assert PER_CORE == 2, "the README says two for each core"


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert "://" in link or (ROOT / link).exists(), link


def test_the_table_of_integrations_is_what_the_code_says():
    pytest.importorskip("botocore", reason="NO BOTOCORE: the README's table is not held against the code")
    done = subprocess.run([sys.executable, ROOT / "tools" / "list_integrations.py", "--check"], check=False)
    assert done.returncode == 0, "python tools/list_integrations.py writes it"


def test_the_shop_of_the_readme_sends_its_order(readme):
    pytest.importorskip("moto", reason="NO MOTO: the example of services is not run")
    assert "`python -m stepfold.examples.shop`" in readme.text
    told = run(sys.executable, "-m", "stepfold.examples.shop").stdout
    assert json.loads(told.splitlines()[-1])["status"] == {"S": "sent"}
