"""`http:invoke` and `apigateway:invoke`: a request told by a Task's arguments, its answer as Step Functions shows it.

    {"ApiEndpoint": "https://api.example.com/orders", "Method": "POST", "RequestBody": {"id": 7},
     "Authentication": {"ConnectionArn": "..."}, "QueryParameters": {"dry": "1"}}

gives `{"Headers": {...: [...]}, "ResponseBody": ..., "StatusCode": 200, "StatusText": "OK"}`. A status from 300 on
fails the Task: redirects are not followed. What a connection adds is in no history, and what an answer repeats of it is
struck out. (Recorded: results of API Gateway. From AWS's guide: the encodings and the names of errors. The causes are
our own.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from stepfold.language.failures import DATA_LIMIT_EXCEEDED, PERMISSIONS, RUNTIME
from stepfold.query.values import Json, NotAdmitted, Value, admit, admit_tree, tree
from stepfold.work.call import Call, TaskError

from .connections import Connection, NoConnection, Signing
from .hosts import Answer, Hosts, NoAnswer, NotAllowed, Request, TooLong
from .shaped import readable, written

FORM: Final = "application/x-www-form-urlencoded"
STRUCK: Final = "[REDACTED]"
_OURS: Final = {"connection", "content-length", "host", "transfer-encoding", "upgrade"}
"""Headers that a Task cannot set: they are the request's own."""
_ARRAYS: Final = {"BRACKETS", "COMMAS", "INDICES", "NONE", "REPEAT"}
_SHORTEST_SECRET: Final = 4
_NOBODY: Final = Connection("")


class Wanted(NamedTuple):
    """A request as a Task wants it, and how the Task fails: by the names of its kind."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    query: list[tuple[str, str]]
    body: Json
    form: str | None
    connection: str | None
    failing: str
    broken: str


class HttpTasks:
    """Makes requests for Tasks."""

    def __init__(self, hosts: Hosts, signing: Signing) -> None:
        self._hosts = hosts
        self._signing = signing

    async def __call__(self, call: Call) -> Value:
        """The answer, as admitted JSON. Raises TaskError."""
        arguments = tree(call.arguments)
        reader = _api_gateway if ":apigateway:" in call.resource else _plain
        try:
            wanted = reader(arguments)
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as wrong:
            field = wrong.args[0] if isinstance(wrong, _Malformed | KeyError) else "Parameters"
            raise TaskError(
                RUNTIME, f"The Parameters '{written(arguments)}' could not be used to start the Task: "
                f"[The value of the field '{field}' has an invalid format]",
            ) from None
        secrets: list[str] = []
        try:
            connection = _NOBODY
            if wanted.connection is not None:
                connection = await self._signing.connection(wanted.connection)
                secrets = connection.secrets
            answer = await self._hosts.send(_request(wanted, connection))
        except (NotAllowed, NoConnection) as refused:
            raise TaskError(PERMISSIONS, _struck(str(refused), secrets)) from None
        except NoAnswer as silent:
            raise TaskError(wanted.broken, _struck(str(silent), secrets)) from None
        except TooLong as long:
            raise TaskError(DATA_LIMIT_EXCEEDED, str(long)) from None
        body = _struck(readable(answer.body), secrets)
        if answer.status >= 300:
            raise TaskError(f"{wanted.failing}.{answer.status}", body or answer.reason)
        return admit_tree(_result(answer, body, secrets))


def _result(answer: Answer, body: str, secrets: list[str]) -> dict[str, Json]:
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers:
        headers.setdefault(name, []).append(_struck(value, secrets))
    try:
        plain = tree(admit(body))
    except NotAdmitted:
        plain = body
    return {
        "Headers": dict(sorted(headers.items())),
        "ResponseBody": plain,
        "StatusCode": answer.status,
        "StatusText": answer.reason,
    }


def _struck(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, STRUCK)
    return text


# --- what a Task wants ------------------------------------------------------------------------------------------------


class _Malformed(ValueError):
    """A field of the arguments is not as it should be."""


def _plain(arguments: Json) -> Wanted:
    transform = arguments.get("Transform") or {}
    form = None
    if transform.get("RequestBodyEncoding") == "URL_ENCODED":
        form = (transform.get("RequestEncodingOptions") or {}).get("ArrayFormat", "INDICES")
        if form not in _ARRAYS:
            raise _Malformed("ArrayFormat")
    sign = arguments.get("Authentication") or arguments.get("InvocationConfig") or {}
    connection = sign.get("ConnectionArn")
    if not isinstance(connection, str | None):
        raise _Malformed("ConnectionArn")
    return Wanted(
        method=_method(arguments["Method"]),
        url=_address(arguments["ApiEndpoint"]),
        headers=_headers(arguments.get("Headers"), lists=False),
        query=_pairs(arguments.get("QueryParameters"), "QueryParameters"),
        body=arguments.get("RequestBody"),
        form=form,
        connection=connection,
        failing="States.Http.StatusCode",
        broken="States.Http.Socket",
    )


def _api_gateway(arguments: Json) -> Wanted:
    """AuthType NO_AUTH: requests that AWS would sign go unsigned, and the API refuses what it must."""
    host = _address(arguments["ApiEndpoint"])
    path = "/".join(str(part).strip("/") for part in (arguments.get("Stage"), arguments.get("Path")) if part)
    return Wanted(
        method=_method(arguments["Method"]),
        url=f"{host if '://' in host else f'https://{host}'}/{quote(path, safe='/:@!$&()*+,;=~')}",
        headers=_headers(arguments.get("Headers"), lists=True),
        query=_pairs(arguments.get("QueryParameters"), "QueryParameters"),
        body=arguments.get("RequestBody"),
        form=None,
        connection=None,
        failing="ApiGateway",
        broken="ApiGateway.SdkClientException",
    )


def _method(value: Json) -> str:
    if value not in {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}:
        raise _Malformed("Method")
    return str(value)


def _address(value: Json) -> str:
    try:
        urlsplit(value)
    except (ValueError, TypeError, AttributeError):
        raise _Malformed("ApiEndpoint") from None
    return str(value)


def _headers(given: Json, *, lists: bool) -> list[tuple[str, str]]:
    """API Gateway's values are arrays (recorded: a text has an invalid format)."""
    if lists and not all(isinstance(value, list) for value in (given or {}).values()):
        raise _Malformed("Headers")
    return [(name, value) for name, value in _pairs(given, "Headers") if name.lower() not in _OURS]


def _pairs(given: Json, field: str) -> list[tuple[str, str]]:
    if not isinstance(given or {}, dict):
        raise _Malformed(field)
    return [
        (name, one if isinstance(one, str) else written(one))
        for name, value in (given or {}).items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]


# --- the request ------------------------------------------------------------------------------------------------------


def _request(wanted: Wanted, connection: Connection) -> Request:
    split = urlsplit(wanted.url)
    query = "&".join(part for part in (split.query, urlencode([*wanted.query, *connection.query.items()])) if part)
    body = wanted.body
    if connection.body and (body is None or isinstance(body, dict)):
        body = (body or {}) | connection.body
    headers = {"user-agent": ("User-Agent", "Amazon|StepFunctions|HttpInvoke")}
    if body is not None:
        headers["content-type"] = ("Content-Type", FORM if wanted.form else "application/json; charset=UTF-8")
    many = [(name, value) for name, value in wanted.headers if name.lower() not in headers]
    headers |= {name.lower(): (name, value) for name, value in wanted.headers if name.lower() in headers}
    signed = {name.lower() for name in connection.headers}
    several = [(name, value) for name, value in (*headers.values(), *many) if name.lower() not in signed]
    return Request(
        wanted.method,
        urlunsplit(split._replace(query=query, fragment="")),
        [*several, *connection.headers.items()],
        None if body is None else _body(body, wanted.form),
    )


def _body(body: Json, form: str | None) -> bytes:
    if form is not None and isinstance(body, dict):
        return urlencode(list(_flat(body, form))).encode()
    return (body if isinstance(body, str) else written(body)).encode()


def _flat(fields: Mapping[str, Any], arrays: str, within: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a form: `a[b]=1` for objects, and arrays as ArrayFormat says."""
    for key, value in fields.items():
        name = f"{within}[{key}]" if within else key
        if isinstance(value, dict):
            yield from _flat(value, arrays, name)
        elif isinstance(value, list):
            yield from _array(name, value, arrays)
        elif value is not None:
            yield name, value if isinstance(value, str) else written(value)


def _array(name: str, values: list[Any], arrays: str) -> Iterator[tuple[str, str]]:
    texts = [value if isinstance(value, str) else written(value) for value in values]
    match arrays:
        case "NONE":
            yield name, written(values)
        case "COMMAS":
            yield name, ",".join(texts)
        case "REPEAT":
            yield from ((name, text) for text in texts)
        case "BRACKETS":
            yield from ((f"{name}[]", text) for text in texts)
        case _:
            yield from _flat({f"{name}[{index}]": value for index, value in enumerate(values)}, arrays)
