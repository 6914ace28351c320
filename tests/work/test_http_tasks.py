"""`http:invoke` and `apigateway:invoke`: requests and answers, who may be called, and how one signs in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

import boto3
import pytest

from stepfold import Engine
from stepfold.runtime.handle import ExecutionFailed
from stepfold.runtime.outside import Outside, reach
from stepfold.service.wire import signature
from stepfold.service.wire.keys import Key
from stepfold.service.wire.protocol import Call, Refusal
from stepfold.work.services import hosts
from stepfold.work.services.clients import Clients
from stepfold.work.services.connections import Connection, ConnectionsRefused, load_connections, named
from stepfold.work.services.hosts import Allowed, Request
from stepfold.work.services.signatures import Signatures

from .far_side import ENVIRONMENT, MOTO, NO_MOTO, Moto, Told, free_port

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
OK = (200, {"ok": True}, JSON)


def machine(resource, arguments, **fields):
    return {"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": arguments, "End": True, **fields}}}


async def invoke(server, arguments, *, kind="http", allow=None, connections=None, url=None, services=False, given=None):
    engine = Engine()
    allowed = [Allowed.read(host) for host in ([server.url] if allow is None else allow)]
    outside = Outside(services, allowed, {} if connections is None else load_connections(connections))
    reach(engine, outside)
    endpoint = {"ApiEndpoint": url or f"{server.url}/path", "Method": "POST"}
    async with engine:
        handle = await engine.start(await engine.create("m", machine(f"{kind}:invoke", endpoint | arguments)), given)
        try:
            return await handle.result()
        finally:
            invoke.history = json.dumps([event async for event in handle.events()], default=str)


async def failure(server, arguments, **options):
    with pytest.raises(ExecutionFailed) as failed:
        await invoke(server, arguments, **options)
    return failed.value.error, failed.value.cause


async def test_a_request_and_its_answer():
    with Told(OK) as server:
        arguments = {
            "Headers": {"X-One": "1", "X-Many": ["a", "b"], "Content-Length": "7"},
            "QueryParameters": {"q": ["a b", "c"], "n": 1},
            "RequestBody": {"n": 1.50},
        }
        result = await invoke(server, arguments)
        assert (result["StatusCode"], result["StatusText"], result["ResponseBody"]) == (200, "OK", {"ok": True})
        assert result["Headers"]["Content-Type"] == ["application/json"]
        (asked,) = server.asked
        assert asked["path"] == "/path?q=a%20b&q=c&n=1"
        assert asked["body"] == '{"n":1.5}'
        assert asked["headers"]["Content-Type"] == "application/json; charset=UTF-8"
        assert asked["headers"]["Host"] == f"127.0.0.1:{server.port}"
        assert asked["headers"]["X-One"] == "1"


async def test_a_body_that_is_no_json_is_a_text():
    with Told((200, b"plain")) as server:
        assert (await invoke(server, {}))["ResponseBody"] == "plain"


@pytest.mark.parametrize(
    ("arrays", "sent"),
    [
        ("INDICES", "a[b]=1&l[0]=x&l[1][k]=y"), ("BRACKETS", 'a[b]=1&l[]=x&l[]={"k":"y"}'),
        ("REPEAT", 'a[b]=1&l=x&l={"k":"y"}'), ("COMMAS", 'a[b]=1&l=x,{"k":"y"}'), ("NONE", 'a[b]=1&l=["x",{"k":"y"}]'),
    ],
)
async def test_forms(arrays, sent):
    with Told(OK) as server:
        await invoke(server, {
            "RequestBody": {"a": {"b": 1}, "l": ["x", {"k": "y"}]},
            "Transform": {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": {"ArrayFormat": arrays}},
        })
        assert unquote(server.asked[0]["body"]) == sent
        assert server.asked[0]["headers"]["Content-Type"] == "application/x-www-form-urlencoded"


async def test_api_gateway():
    with Told(OK, (403, {"message": "Forbidden"}, JSON)) as server:
        arguments = {"Stage": "prod", "Path": "/orders/a b", "RequestBody": {}, "Headers": {"h": ["1"]}}
        result = await invoke(server, arguments, kind="apigateway", url=server.url)
        assert set(result) == {"Headers", "ResponseBody", "StatusCode", "StatusText"}
        assert server.asked[0]["path"] == "/prod/orders/a%20b"
        told = await failure(server, arguments, kind="apigateway", url=server.url)
        assert told == ("ApiGateway.403", '{"message": "Forbidden"}')
        for wrong in ({"Headers": {"h": "text"}}, {"AuthType": "IAM_AUTH"}):
            error, cause = await failure(server, wrong, kind="apigateway", url=server.url)
            assert error == "States.Runtime"
            assert f"[The value of the field '{next(iter(wrong))}' has an invalid format]" in cause


async def test_headers_that_step_functions_sets():
    with Told(OK) as server:
        await invoke(server, {})
        assert server.asked[0]["headers"]["User-Agent"] == "Amazon|StepFunctions|HttpInvoke|us-east-1"
        assert server.asked[0]["headers"]["Range"] == "bytes=0-262144"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"Method": "FETCH"}, "Method"), ({"ApiEndpoint": "http://[x"}, "ApiEndpoint"),
        ({"ApiEndpoint": 7}, "ApiEndpoint"), ({"Authentication": {"ConnectionArn": 7}}, "ConnectionArn"),
        ({"QueryParameters": "q=1"}, "QueryParameters"), ({"Headers": []}, ""),
        ({"Authentication": "me"}, "Parameters"),
        ({"Transform": {"RequestBodyEncoding": "URL_ENCODED", "RequestEncodingOptions": {"ArrayFormat": "X"}}},
         "ArrayFormat"),
    ],
)
async def test_what_is_no_request(arguments, field):
    with Told(OK) as server:
        if not field:  # an empty array has no headers
            await invoke(server, arguments)
            return
        error, cause = await failure(server, arguments)
        assert error == "States.Runtime"
        assert cause.endswith(f"[The value of the field '{field}' has an invalid format]")
        assert not server.asked


@pytest.mark.parametrize(
    ("kind", "name"),
    [("http", "Authorization"), ("http", "HOST"), ("http", "X-Amz-Date"), ("http", "x-forwarded-for"),
     ("apigateway", "Www-Authenticate"), ("apigateway", "X-Amzn-Trace-Id"), ("apigateway", "via")],
)
async def test_headers_that_no_task_may_set(kind, name):
    with Told(OK) as server:
        arguments = {"Headers.$": "$.headers", "RequestBody": 1}
        sent = {"headers": {"X-Fine": ["1"], name: ["2"]}}
        error, cause = await failure(server, arguments, kind=kind, url=server.url, given=sent)
        assert error == "States.Runtime"
        assert cause.endswith(f"[The 'Headers' field contains unsupported values: [{name.lower()}]]")
        assert not server.asked


@pytest.mark.parametrize(
    ("kind", "name"),
    [("http", "X-Amazing"), ("http", "Www-Authenticate"), ("apigateway", "Date"), ("apigateway", "Origin")],
)
async def test_headers_that_others_may_not_set(kind, name):
    with Told(OK) as server:
        await invoke(server, {"Headers": {name: ["2"]}}, kind=kind, url=server.url)
        assert {key.lower(): value for key, value in server.asked[0]["headers"].items()}[name.lower()] == "2"


async def test_a_status_fails_the_task_and_retry_may_take_it():
    with Told((503, b"busy")) as server:
        assert await failure(server, {}) == ("States.Http.StatusCode.503", "busy")


async def test_redirects_are_not_followed():
    with Told((302, b"", {"Location": "http://169.254.169.254/"})) as server:
        error, _ = await failure(server, {})
        assert error == "States.Http.StatusCode.302"
        assert len(server.asked) == 1


async def test_time_and_refusal(monkeypatch):
    monkeypatch.setattr(hosts, "SECONDS", 0.3)
    with Told(None) as server:
        error, cause = await failure(server, {})
        assert error == "States.Http.Socket"
        url = f"http://127.0.0.1:{free_port()}"
        error, cause = await failure(server, {}, allow=[url], url=url)
        assert (error, "ConnectionRefusedError" in cause) == ("States.Http.Socket", True)


async def test_an_answer_that_is_too_long(monkeypatch):
    monkeypatch.setattr(hosts, "ANSWER_BYTES", 10)
    with Told((200, b"x" * 11)) as server:
        error, _ = await failure(server, {})
        assert error == "States.DataLimitExceeded"


# --- who may be called ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allow", [[], ["example.com"], ["http://127.0.0.1:1"], ["127.0.0.1"], ["http://*:{port}"]])
async def test_nobody_is_called_who_is_not_allowed(allow):
    with Told(OK) as server:
        error, cause = await failure(server, {}, allow=[one.format(port=server.port) for one in allow])
        assert error == "States.Permissions"
        assert "127.0.0.1" in cause
        assert not server.asked


@pytest.mark.parametrize(
    ("rule", "address", "may"),
    [
        ("example.com", "93.184.215.14", True), ("example.com", "10.0.0.7", True),
        ("*.example.com", "93.184.215.14", True), ("*.example.com", "10.0.0.7", False), ("*", "127.0.0.1", False),
        ("*", "::1", False), ("example.com", "169.254.169.254", False), ("*", "fe80::1%eth0", False),
        ("http://169.254.169.254", "169.254.169.254", True), ("example.com", "0.0.0.0", False),
        ("*", "::ffff:127.0.0.1", False), ("example.com", "::ffff:169.254.169.254", False),
        ("example.com", "64:ff9b::a9fe:a9fe", False), ("example.com", "fd00:ec2::254", False),
    ],
)
def test_addresses(rule, address, may):
    assert Allowed.read(rule).reaches(address) is may


@pytest.mark.parametrize(
    ("rule", "host", "covered"),
    [
        ("example.com", ("https", "example.com", 443), True), ("example.com", ("http", "example.com", 80), False),
        ("example.com", ("https", "example.com", 8443), False), ("example.com:8443", ("https", "example.com", 8443), 1),
        ("*.example.com", ("https", "a.b.example.com", 443), True), ("*.example.com", ("https", "example.com", 443), 0),
        ("*.example.com", ("https", "badexample.com", 443), False), ("http://h", ("http", "h", 80), True),
    ],
)
def test_rules(rule, host, covered):
    assert Allowed.read(rule).covers(*host) == covered


@pytest.mark.parametrize("text", ["", "ftp://h", "https://h/path", "https://user@h", "h:port"])
def test_what_names_no_host(text):
    with pytest.raises(ValueError, match=r".+"):
        Allowed.read(text)


# --- signing in -------------------------------------------------------------------------------------------------------

FILE = """
[[connection]]
name = "basic"
username = "ada"
password = "s3cret-word"
query = { tenant = "seven-secret" }

[[connection]]
name = "key"
api_key_name = "X-Api-Key"
api_key_value = "k3y-k3y-k3y"

[[connection]]
name = "oauth"
client_id = "me"
client_secret = "s3cret-word"
authorization_endpoint = "AT"
"""


@pytest.fixture
def file(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "connections.toml"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def by(name):
    arn = f"arn:aws:events:us-east-1:123456789012:connection/{name}/8d6a"
    return {"Authentication": {"ConnectionArn": arn}, "Headers": {"x-api-key": "none"}}


async def test_signing_in_by_a_file(file):
    path = file(FILE)
    with Told((200, b'"s3cret-word of YWRhOnMzY3JldC13b3Jk and k3y-k3y-k3y"')) as server:
        assert (await invoke(server, by("basic"), connections=path))["ResponseBody"] == (
            "[REDACTED] of [REDACTED] and k3y-k3y-k3y")
        asked = server.asked[0]
        assert asked["headers"]["Authorization"] == "Basic YWRhOnMzY3JldC13b3Jk"
        assert asked["path"] == "/path?tenant=seven-secret"
        for secret in ("s3cret-word", "YWRhOnMzY3JldC13b3Jk", "seven-secret"):
            assert secret not in invoke.history
        await invoke(server, by("key"), connections=path)
        assert server.asked[1]["headers"]["X-Api-Key"] == "k3y-k3y-k3y"
        assert (await failure(server, by("gone"), connections=path))[0] == "States.Permissions"


MERGED = """
[[connection]]
name = "merged"
api_key_name = "X-Api-Key"
api_key_value = "k3y-k3y-k3y"
headers = { X-Both = "theirs" }
query = { both = "theirs" }
body = { both = "theirs" }
"""


async def test_what_task_and_connection_both_say_is_the_connections(file):
    """(AWS's guide: its example of merging)"""
    path = file(MERGED)
    both = {**by("merged"), "Headers": {"x-both": "ours", "X-One": "1"}, "QueryParameters": {"both": "ours", "n": "1"}}
    with Told(OK) as server:
        await invoke(server, {**both, "RequestBody": {"both": "ours", "n": 1}}, connections=path)
        (asked,) = server.asked
        assert asked["path"] == "/path?n=1&both=theirs"
        assert json.loads(asked["body"]) == {"both": "theirs", "n": 1}
        named = {name.lower(): value for name, value in asked["headers"].items()}
        assert (named["x-both"], named["x-one"]) == ("theirs", "1")
        error, _ = await failure(server, {**both, "RequestBody": "text"}, connections=path)
        assert (error, len(server.asked)) == ("States.Runtime", 1)


def test_a_secret_is_known_in_whatever_way_it_is_written():
    assert {'a "b/c', "a%20%22b%2Fc", 'a \\"b/c'} <= set(Connection("n", password='a "b/c').secrets)


async def test_signing_in_with_a_token(file):
    token = (200, {"access_token": "t0ken-t0ken", "expires_in": 3600}, JSON)
    with Told(token, OK, OK) as server:
        path = file(FILE.replace('"AT"', f'"{server.url}/token"'))
        await invoke(server, by("oauth"), connections=path)
        assert dict(parse_qsl(server.asked[0]["body"]))["client_secret"] == "s3cret-word"
        assert server.asked[1]["headers"]["Authorization"] == "Bearer t0ken-t0ken"
        server.answers = [(200, {"no": "token"}, JSON)]
        assert (await failure(server, by("oauth"), connections=path))[0] == "States.Permissions"


# --- signed requests --------------------------------------------------------------------------------------------------

KEY = Key("AKIDTESTING", "at least sixteen characters", ())
SIGNED = {"Stage": "prod", "Path": "/orders/a b", "QueryParameters": {"q": ["b c", "a/ü"]}, "RequestBody": {"n": 1},
          "Headers": {"X-One": ["a"], "Date": ["then"]}, "AuthType": "IAM_ROLE"}


@pytest.fixture
def credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setattr(signature, "SERVICE", "execute-api")
    return monkeypatch


def verified(asked):
    """Who signed what a server was asked, by the check that our own API makes; raises Refusal."""
    path, _, query = asked["path"].partition("?")
    headers = {name.lower(): value for name, value in asked["headers"].items()}
    call = Call(asked["method"], path, query, headers, asked["body"].encode())
    return signature.verify(call, {KEY.id: KEY}, datetime.now(UTC))


@pytest.mark.parametrize("authorisation", ["IAM_ROLE", "RESOURCE_POLICY"])
async def test_a_request_to_an_api_is_signed(credentials, authorisation):
    arguments = {**SIGNED, "AuthType": authorisation}
    with Told(OK) as server:
        await invoke(server, arguments, kind="apigateway", url=server.url, services=True)
        (asked,) = server.asked
        assert verified(asked) == KEY
        assert "/eu-central-1/execute-api/aws4_request" in asked["headers"]["Authorization"]
        assert "x-one" in asked["headers"]["Authorization"]
        assert KEY.secret not in invoke.history
        with pytest.raises(Refusal):
            verified({**asked, "body": '{"n":2}'})


@pytest.mark.parametrize("told", [{}, {"AuthType": "NO_AUTH"}])
async def test_a_request_is_not_signed_unless_it_is_asked_for(credentials, told):
    with Told(OK) as server:
        arguments = {"RequestBody": {}, **told}
        await invoke(server, arguments, kind="apigateway", url=server.url, services=True)
        assert "Authorization" not in server.asked[0]["headers"]


async def test_a_token_is_sent_signed_and_told_to_nobody(credentials):
    credentials.setenv("AWS_SESSION_TOKEN", "t0ken-t0ken")
    with Told((200, b'"it was t0ken-t0ken"')) as server:
        result = await invoke(server, SIGNED, kind="apigateway", url=server.url, services=True)
        asked = server.asked[0]["headers"]
        assert asked["X-Amz-Security-Token"] == "t0ken-t0ken"
        assert "x-amz-security-token" in asked["Authorization"]
        assert result["ResponseBody"] == "it was [REDACTED]"
        assert "t0ken-t0ken" not in invoke.history


async def test_without_services_or_credentials_nothing_is_signed_or_sent(credentials):
    with Told(OK) as server:
        error, cause = await failure(server, SIGNED, kind="apigateway", url=server.url)
        assert (error, "where services may be called" in cause) == ("States.Permissions", True)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            credentials.delenv(name)
        credentials.setenv("AWS_EC2_METADATA_DISABLED", "true")
        credentials.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        error, cause = await failure(server, SIGNED, kind="apigateway", url=server.url, services=True)
        assert (error, "no AWS credentials" in cause) == ("States.Permissions", True)
        assert not server.asked


async def test_the_region_is_that_of_the_api(credentials):
    request = Request("GET", "https://abc.execute-api.sa-east-1.amazonaws.com/prod/x")
    signed, (written,) = await Signatures(Clients("us-east-1")).signed(request)
    said = dict(signed.headers)["Authorization"]
    assert "/sa-east-1/execute-api/" in said
    assert said.endswith(written)


@pytest.mark.skipif(not MOTO, reason=NO_MOTO)
async def test_signing_in_by_a_connection_of_eventbridge(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with Moto() as moto, Told(OK) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
        arn = boto3.client("events", endpoint_url=moto.url).create_connection(
            Name="c", AuthorizationType="API_KEY", AuthParameters={
                "ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "v4lue-v4lue"},
                "InvocationHttpParameters": {"HeaderParameters": [
                    {"Key": "X-More", "Value": "more-more", "IsValueSecret": True}]},
            },
        )["ConnectionArn"]
        await invoke(server, {"Authentication": {"ConnectionArn": arn}}, services=True)
        assert server.asked[0]["headers"]["X-Key"] == "v4lue-v4lue"
        assert server.asked[0]["headers"]["X-More"] == "more-more"
        assert "v4lue-v4lue" not in invoke.history


@pytest.mark.parametrize(
    ("text", "mode"),
    [(FILE, 0o644), ("not toml", 0o600), ("[[connection]]\nnam = 's3cret'", 0o600), ("[[connection]]", 0o600)],
)
def test_files_that_are_refused(file, text, mode):
    with pytest.raises(ConnectionsRefused) as refused:
        load_connections(file(text, mode))
    assert "s3cret" not in str(refused.value)


def test_names_and_what_is_printed():
    assert named("arn:aws:events:us-east-1:123456789012:connection/orders/1234") == named("orders") == "orders"
    assert "s3cret" not in repr(Connection("n", password="s3cret"))
