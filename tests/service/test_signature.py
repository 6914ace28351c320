"""Signatures made by botocore, the independent client: good ones pass, whatever is changed in them does not."""

from datetime import UTC, datetime, timedelta

import pytest

from stepfold.names import Home
from stepfold.service.wire import shapes
from stepfold.service.wire.keys import POLICIES, Allow, Key, KeysRefused, authorize, load_keys, resources
from stepfold.service.wire.protocol import CONTENT_TYPE, Call, Refusal
from stepfold.service.wire.shapes import OPERATIONS
from stepfold.service.wire.signature import verify

HOME = Home()
MACHINE = HOME.machine("orders")
SECRET = "a secret of thirty-two characters"
KEY = Key("AKIDORDERS", SECRET, (Allow(("states:*",)),))
KEYS = {KEY.id: KEY}


BODY = b'{"stateMachineArn":"x"}'


def signed(body=BODY, *, key=KEY.id, secret=SECRET, token=None, path="/", service="states", **more):
    """A call that botocore signed, and the moment of its date."""
    pytest.importorskip("botocore", reason="NO BOTOCORE: no independent client signs in this run")
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": "AWSStepFunctions.StartExecution", **more}
    request = AWSRequest("POST", f"http://localhost:8083{path}", headers=headers, data=body)
    SigV4Auth(Credentials(key, secret, token), service, "us-east-1").add_auth(request)
    told = {name.lower(): value for name, value in request.headers.items()} | {"host": "localhost:8083"}
    given = {name: value if isinstance(value, str) else value.decode() for name, value in told.items()}
    sent = datetime.strptime(given["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    path, _, query = path.partition("?")
    return Call("POST", path, query, given, body), sent


def refused(call, now, code="InvalidSignatureException"):
    with pytest.raises(Refusal) as caught:
        verify(call, KEYS, now)
    assert (caught.value.code, caught.value.status) == (code, 403)
    return caught.value.message


def with_headers(call, **changed):
    return call._replace(headers={**call.headers, **{name.replace("_", "-"): text for name, text in changed.items()}})


@pytest.mark.parametrize("path", ["/", "/aws/", "/?b=2&a=1", "/a%20b/"])
def test_what_botocore_signs_is_taken(path):
    call, sent = signed(path=path)
    assert verify(call, KEYS, sent) is KEY


def test_spaces_in_a_header_are_folded_as_botocore_folds_them():
    call, sent = signed(**{"X-Amz-Meta": "  a   b "})
    assert verify(call, KEYS, sent) is KEY


def test_every_byte_of_the_body_counts():
    call, sent = signed()
    for place in range(len(call.body)):
        changed = bytearray(call.body)
        changed[place] ^= 1
        refused(call._replace(body=bytes(changed)), sent)
    refused(call._replace(body=b""), sent)
    refused(call._replace(body=call.body + b" "), sent)


def test_every_character_of_the_signature_counts():
    call, sent = signed()
    header = call.headers["authorization"]
    for place in range(header.index("Signature=") + 10, len(header)):
        other = "0" if header[place] != "0" else "1"
        refused(with_headers(call, authorization=header[:place] + other + header[place + 1 :]), sent)


def test_method_path_query_and_headers_count():
    call, sent = signed()
    refused(call._replace(method="PUT"), sent)
    refused(call._replace(path="//"), sent)
    refused(call._replace(query="a=1"), sent)
    for name in ("host", "content-type", "x-amz-target"):
        value = call.headers[name]
        for place in range(len(value)):
            changed = value[:place] + chr(ord(value[place]) ^ 1) + value[place + 1 :]
            if changed.split() != value.split():
                refused(with_headers(call, **{name: changed}), sent)
    bare = {name: value for name, value in call.headers.items() if name != "content-type"}
    refused(call._replace(headers=bare), sent)


def test_a_date_within_five_minutes_of_now():
    call, sent = signed()
    for seconds in (-300, 300):
        assert verify(call, KEYS, sent + timedelta(seconds=seconds)) is KEY
    assert refused(call, sent + timedelta(minutes=6)).startswith("Signature expired: ")
    assert refused(call, sent - timedelta(minutes=6)).startswith("Signature not yet current: ")
    refused(call, sent + timedelta(seconds=301))


def test_another_date_than_the_signed_one():
    call, sent = signed()
    later = sent + timedelta(seconds=1)
    refused(with_headers(call, x_amz_date=f"{later:%Y%m%dT%H%M%SZ}"), sent)
    tomorrow = sent + timedelta(days=1)
    told = refused(with_headers(call, x_amz_date=f"{tomorrow:%Y%m%dT%H%M%SZ}"), tomorrow)
    assert told.startswith("Date in Credential scope")
    for text in ("", "yesterday", "20261399T000000Z", "\uff12\uff10\uff12\uff161122T000000Z"):
        refused(with_headers(call, x_amz_date=text), sent, "IncompleteSignatureException")


def test_what_must_be_signed():
    call, sent = signed()
    for name in ("host", "x-amz-date", "x-amz-target"):
        header = call.headers["authorization"].replace(f";{name}", "").replace(f"{name};", "")
        assert refused(with_headers(call, authorization=header), sent).endswith(f"not signed: {name}")
    refused(with_headers(call, x_amz_target2="more"), sent)


def test_keys_that_are_not_ours():
    refused(*signed(key="AKIDOTHER"), "UnrecognizedClientException")
    refused(*signed(secret="another secret altogether"))
    refused(*signed(token="a session"), "UnrecognizedClientException")
    refused(*signed(service="sqs"))
    call, sent = signed()
    header = call.headers["authorization"]
    refused(with_headers(call, authorization=header.replace("us-east-1", "us-east-2")), sent)


@pytest.mark.parametrize("header", [
    "", "Basic dXNlcjpwYXNz", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=", "AWS4-HMAC-SHA256 , , ,",
    "AWS4-HMAC-SHA256 Credential=a/20261122/r/states/aws4_request, SignedHeaders=host, Signature=" + "g" * 64,
])  # fmt: skip
def test_headers_that_are_none(header):
    refused(with_headers(Call("POST", "/", "", {}, b""), authorization=header), datetime.now(UTC),
            "IncompleteSignatureException")  # fmt: skip


def test_no_header_at_all_and_presigned_addresses():
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b"
    for call in (Call("POST", "/", "", {}, b""), Call("POST", "/", query, {}, b"")):
        refused(call, datetime.now(UTC), "MissingAuthenticationTokenException")


def keys_file(tmp_path, text, mode=0o600):
    path = tmp_path / "keys.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


ONE = f'[[key]]\nid = "AKIDONE"\nsecret = "{SECRET}"\n'


def test_a_keys_file(tmp_path):
    text = ONE + 'policy = "reader"\n' + ONE.replace("ONE", "TWO") + (
        f'[[key.allow]]\nactions = ["states:Describe*"]\nresources = ["{MACHINE}"]\n'
    )
    keys = load_keys(keys_file(tmp_path, text))
    assert keys["AKIDONE"].policy == (Allow(POLICIES["reader"]),)
    assert keys["AKIDTWO"].policy == (Allow(("states:Describe*",), (MACHINE,)),)
    assert SECRET not in repr(keys)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o601, 0o660])
def test_a_file_that_others_may_read(tmp_path, mode):
    with pytest.raises(KeysRefused, match="chmod 600"):
        load_keys(keys_file(tmp_path, ONE + 'policy = "admin"', mode))


@pytest.mark.parametrize(("text", "why"), [
    ("", "key"),
    ("key = []", "no key"),
    (ONE, "wants either a policy"),
    (ONE + 'policy = "root"', "no policy 'root'"),
    (ONE + 'policy = "admin"\nextra = 1', "extra"),
    (ONE + 'policy = "admin"\n[[key.allow]]\nactions = ["states:*"]', "either"),
    (ONE + '[[key.allow]]\nactions = ["states:DropTables"]', "no operation is called"),
    (2 * (ONE + 'policy = "admin"\n'), "two of one id"),
    (ONE.replace(SECRET, "short") + 'policy = "admin"', "fewer than 16"),
    (ONE.replace("AKIDONE", "a b") + 'policy = "admin"', "letters, digits"),
    (ONE + "policy = " + SECRET, "is not TOML"),
])
def test_files_that_are_refused(tmp_path, text, why):
    with pytest.raises(KeysRefused, match=why) as caught:
        load_keys(keys_file(tmp_path, text))
    assert SECRET not in str(caught.value)


def allowed(policy, name, request):
    try:
        authorize(Key("k", SECRET, policy), name, request, HOME)
    except Refusal as refusal:
        return refusal.code != "AccessDeniedException" or refusal.status != 403
    return True


def test_ready_policies_name_operations():
    def names(policy):
        return {name for name in OPERATIONS if Allow(POLICIES[policy]).covers(f"states:{name}", "*")}

    assert names("admin") == set(OPERATIONS)
    assert names("worker") == {
        "GetActivityTask", "SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat", "DescribeActivity",
        "ListActivities",
    }  # fmt: skip
    assert {name for name in OPERATIONS if name.startswith(("Describe", "List"))} < names("reader") < names("operator")
    changing = ("Create", "Delete", "Publish", "UpdateState", "Tag", "Untag", "SendTask")
    assert not [name for name in names("operator") if name.startswith(changing)]


def test_a_policy_allows_what_it_names_and_nothing_else():
    policy = (Allow(("states:Start*",), ("arn:*:stateMachine:or*",)),)
    started = shapes.StartExecutionInput(stateMachineArn=MACHINE)
    assert allowed(policy, "StartExecution", started)
    assert not allowed(policy, "StartExecution", shapes.StartExecutionInput(stateMachineArn=HOME.machine("bills")))
    assert not allowed(policy, "DeleteStateMachine", shapes.DeleteStateMachineInput(stateMachineArn=MACHINE))
    assert not allowed((Allow(("states:*",), ("arn:*",)),), "ListActivities", shapes.ListActivitiesInput())
    assert not allowed((), "StartExecution", started)
    assert allowed((Allow(("*",), ("*orders",)),), "CreateStateMachine",
                   shapes.CreateStateMachineInput(name="orders", definition="{}", roleArn="r"))  # fmt: skip


def test_secrets_are_revealed_to_whoever_may_see_them():
    tried = shapes.TestStateInput(definition="{}")
    reveals = shapes.TestStateInput(definition="{}", revealSecrets=True)
    may = Allow(POLICIES["operator"])
    assert allowed((may,), "TestState", tried)
    assert not allowed((may,), "TestState", reveals)
    assert allowed((may, Allow(("states:RevealSecrets",))), "TestState", reveals)
    assert allowed((Allow(POLICIES["admin"]),), "TestState", reveals)


def test_an_alias_needs_all_the_versions_it_points_at():
    routes = [shapes.RoutingConfigurationListItem(stateMachineVersionArn=f"{MACHINE}{n}:1", weight=50) for n in "ab"]
    request = shapes.CreateStateMachineAliasInput(name="live", routingConfiguration=routes)
    assert resources(request, HOME) == [f"{MACHINE}a:1", f"{MACHINE}b:1"]
    assert allowed((Allow(("*",), (f"{MACHINE}*",)),), "CreateStateMachineAlias", request)
    assert not allowed((Allow(("*",), (f"{MACHINE}a*",)),), "CreateStateMachineAlias", request)


@pytest.mark.parametrize(("pattern", "text", "covered"), [
    ("a*c", "abc", True), ("a*c", "ac", True), ("a*ca", "aca", True), ("a*aa", "aa", False), ("*", "", True),
    ("a*b*c", "a1b2c", True), ("a*b*c", "acb", False), ("a.c", "abc", False), ("a", "a", True), ("a?", "ab", False),
    ("*a" * 50 + "b", "a" * 5000, False),
])  # fmt: skip
def test_the_only_wildcard(pattern, text, covered):
    assert Allow((pattern,)).covers(text, "any") is covered
