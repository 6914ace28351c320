"""The API inside an application of somebody's own."""

import subprocess
import sys

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import stepfold.service
from stepfold import Engine

from .conftest import ask, client

PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}


@pytest.mark.anyio
@pytest.mark.parametrize("under", ["/", "/states"])
async def test_it_is_mounted_in_an_app(under):
    async def hello(request):
        return PlainTextResponse("hello")

    engine = Engine()
    outer = Starlette(routes=[Route("/hello", hello)])
    outer.mount(under, stepfold.service.app(engine))
    base = under.rstrip("/")
    async with client(outer) as http:
        assert (await http.get("/hello")).text == "hello"
        assert (await http.get(f"{base}/ready")).status_code == 503
        async with engine:
            assert (await http.get(f"{base}/ready")).status_code == 200
            machine = await engine.create("pass", PASS)
            told = await http.post(f"{base}/", **ask("StartExecution", {"stateMachineArn": machine.arn, "name": "one"}))
            assert told.status_code == 200, told.text
            handle = await engine.find("one")
            assert await handle.result() == {}
            assert told.json()["executionArn"] == handle.arn


@pytest.mark.anyio
async def test_it_takes_names_and_a_keys_file(tmp_path, anyio_backend):
    listing = ask("ListStateMachines", {})
    async with Engine() as engine:
        async with client(stepfold.service.app(engine, hosts=["flows.example"]), "flows.example") as http:
            assert msgspec.json.decode((await http.post("/", **listing)).content) == {"stateMachines": []}
        keys = tmp_path / "keys.toml"
        keys.write_text('[[key]]\nid = "READS"\nsecret = "sixteen characters"\npolicy = "reader"\n', encoding="utf-8")
        keys.chmod(0o600)
        async with client(stepfold.service.app(engine, keys=keys)) as http:
            assert (await http.post("/", **listing)).status_code in {400, 403}


def test_stepfold_alone_loads_no_server():
    program = "import stepfold, stepfold.service, sys; sys.exit('starlette' in sys.modules or 'uvicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
