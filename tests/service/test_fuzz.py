"""Bad requests for every operation of the model: always AWS's 4xx, never a fault, never a hang.

STEPFOLD_FUZZ sets how many requests are made (1,500 where it is not set).
"""

import os
import random
import time

import httpx
import msgspec
import pytest
import structlog
from msgspec import inspect

from stepfold.names import Home
from stepfold.service.asgi import app
from stepfold.service.wire.protocol import BODY_BYTES, CONTENT_TYPE, TARGET
from stepfold.service.wire.shapes import OPERATIONS

REQUESTS = int(os.environ.get("STEPFOLD_FUZZ", "1500"))
SLOWEST = 5.0
CODES = {
    "ValidationException": 400, "SerializationException": 400, "RequestEntityTooLargeException": 413,
}  # fmt: skip
WRONG = [None, True, False, 0, -1, 1.5, 1e300, 2**40, 2**70, "", "x", "é\x00\n", [], [None], [[]], {}, {"a": {}}, [{}]]
pytestmark = pytest.mark.anyio


class Accepting:
    """Takes whatever the protocol lets through, which is what fuzzing must not crash."""

    home = Home()

    def __init__(self):
        self.taken = 0
        self.operations = dict.fromkeys(OPERATIONS, self.accept)

    @staticmethod
    async def accept(service, request):  # noqa: ARG004
        service.taken += 1

    def ready(self):
        return True


def good(kind, chance):
    """A value that the model takes."""
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            if isinstance(inner, inspect.StrType) and (extra or {}).get("pattern"):
                return "a-name"
            return good(inner, chance)
        case inspect.UnionType(types=types):
            return good(types[0], chance)
        case inspect.StructType(fields=fields):
            return {f.encode_name: good(f.type, chance) for f in fields if f.required or chance.random() < 0.5}
        case inspect.ListType(item_type=item, min_length=low, max_length=high):
            return [good(item, chance) for _ in range(chance.randint(low or 0, min(high or 3, 3)))]
        case inspect.DictType(key_type=key, value_type=value):
            return {good(key, chance): good(value, chance)}
        case inspect.LiteralType(values=values):
            return chance.choice(values)
        case inspect.StrType(min_length=low):
            return "x" * max(low or 0, chance.randint(0, 20))
        case inspect.BoolType():
            return chance.random() < 0.5
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
            return chance.randint(int(low or 0), min(int(high or 9), 1000))
    raise AssertionError(kind)


def bad(kind, chance):
    """A value that breaks what the model asks for, in one place of its own or within."""
    match kind:
        case inspect.Metadata(type=inner):
            return bad(inner, chance)
        case inspect.UnionType(types=types):
            return bad(types[0], chance)
        case inspect.StructType(fields=fields) if fields and chance.random() < 0.9:
            value = good(kind, chance)
            field = chance.choice(fields)
            if field.required and chance.random() < 0.3:
                value.pop(field.encode_name, None)
            else:
                value[field.encode_name] = bad(field.type, chance)
            return value
        case inspect.ListType(item_type=item, max_length=high) if chance.random() < 0.8:
            return [bad(item, chance)] * chance.choice([1, 2, (high or 50) + 1])
        case inspect.StrType(max_length=high) if high and high < 10_000 and chance.random() < 0.6:
            return chance.choice(["", "x", "é", "\U0001f600"]) * (high + 1)
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high) if chance.random() < 0.6:
            return chance.choice([int(low or 0) - 1, int(high or 0) + 1])
        case inspect.LiteralType() if chance.random() < 0.6:
            return chance.choice(["", "no such thing", "x" * 10_000])
    return chance.choice(WRONG)


def damaged(raw, chance):
    """The bytes of a request, spoilt."""
    match chance.randint(0, 7):
        case 0:
            return raw[: chance.randint(0, len(raw) - 1)]
        case 1:
            place = chance.randint(1, len(raw))
            return raw[:place] + chance.choice([b"\xff", b"\x00", b"\xed\xa0\x80", b"\\ud800"]) + raw[place:]
        case 2:
            depth = chance.choice([150, 201, 1000, 100_000])
            inner = chance.choice([(b"[", b"]"), (b'{"a":', b"}")])
            return raw[:-1] + b',"deep":' + inner[0] * depth + b"1" + inner[1] * depth + b"}"
        case 3:
            odd = chance.choice([b"NaN", b"1e999", b"9" * 6000, b'"' + b"y" * 9000 + b'"'])
            return raw[:-1] + b',"unheard":' + odd + b"}"
        case 4:
            return chance.choice([b"", b"null", b"[]", b'"x"', b"1", b"{}{}", b"\xef\xbb\xbf{}", b"<a/>", b"a=b"])
        case 5 if chance.random() < 0.1:
            return b" " * (BODY_BYTES + 1)
        case _:
            changed = bytearray(raw)
            changed[chance.randrange(len(raw))] = chance.randrange(256)
            return bytes(changed)


def request(number):
    """The method, headers and body of one request, always the same for a number."""
    chance = random.Random(number)
    name = chance.choice(sorted(OPERATIONS))
    kind = inspect.type_info(OPERATIONS[name].input)
    raw = msgspec.json.encode((bad if chance.random() < 0.8 else good)(kind, chance)) or b"{}"
    if chance.random() < 0.4:
        raw = damaged(raw, chance)
    method, headers = "POST", {"content-type": CONTENT_TYPE, "x-amz-target": TARGET + name}
    match chance.randint(0, 19):
        case 0:
            method = chance.choice(["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "X"])
        case 1:
            wrong = ["", name, f"{TARGET}{name}x", f"Other.{name}", f"{TARGET}{name.lower()}", "x" * 9000, TARGET]
            headers["x-amz-target"] = chance.choice(wrong)
        case 2:
            headers["content-type"] = chance.choice(["", "text/plain", "application/json", "multipart/form-data", ";"])
    return method, headers, raw


async def test_bad_requests_get_the_shape_of_aws(anyio_backend_name):
    service = Accepting()
    seen = {}
    with structlog.testing.capture_logs() as logs:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app(service)), base_url="http://localhost") as http:
            for number in range(REQUESTS):
                method, headers, body = request(number)
                begun = time.perf_counter()
                response = await http.request(method, "/", headers=headers, content=body)
                assert time.perf_counter() - begun < SLOWEST, number
                seen[response.status_code] = seen.get(response.status_code, 0) + 1
                check(number, response)
                if number % 100 == 0:
                    assert not [line for line in logs if line["event"] == "fault"]
                    logs.clear()
    assert service.taken == seen[200]
    assert seen[200] < 0.5 * REQUESTS
    assert seen[400] > 0.4 * REQUESTS


def check(number, response):
    if response.status_code == 200:
        assert response.content == b"{}", number
        return
    assert response.headers["content-type"] == CONTENT_TYPE, number
    if response.request.method == "HEAD":
        return
    told = response.json()
    code = told["__type"].rpartition("#")[2]
    assert isinstance(told["message"], str), number
    assert told["message"] != "A value has the wrong type", number  # the two ways of checking disagree
    if code == "UnknownOperationException":
        assert response.status_code in {400, 404}, number
    else:
        assert response.status_code == CODES[code], number


def test_what_is_good_is_taken():
    """The other side: a value drawn within the model's bounds is decoded for every operation."""
    from stepfold.service.wire.protocol import read

    for name, contract in OPERATIONS.items():
        for number in range(20):
            body = msgspec.json.encode(good(inspect.type_info(contract.input), random.Random(number)))
            assert isinstance(read(name, body), contract.input)


@pytest.fixture(name="anyio_backend_name")
def _backend_name(anyio_backend):
    return anyio_backend
