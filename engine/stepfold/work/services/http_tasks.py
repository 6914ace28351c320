"""`http:invoke` and `apigateway:invoke`: a request told by a Task's arguments, its answer as Step Functions shows it.

    {"ApiEndpoint": "https://api.example.com/orders", "Method": "POST", "RequestBody": {"id": 7},
     "Authentication": {"ConnectionArn": "..."}, "QueryParameters": {"dry": "1"}}

gives `{"Headers": {...: [...]}, "ResponseBody": ..., "StatusCode": 200, "StatusText": "OK"}`. A status from 300 on
fails the Task: redirects are not followed. What a connection or a signature adds is in no history, and what an answer
repeats of it is struck out. (Recorded: results of API Gateway. From AWS's guide: the encodings, what wins where Task
and connection say the same, the headers that Step Functions sets, and the names of errors. The causes are our own.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from stepfold.language.failures import RUNTIME
from stepfold.language.integrations import forbidden_headers
from stepfold.language.resources import parse_resource
from stepfold.query.values import Json, Value, admit_tree, tree
from stepfold.work.call import Call, TaskError, Unstartable

from . import traces
from .connections import Connection, Signing
from .hosts import Answer, Hosts, Request
from .requests import Malformed, invalid, pairs, parsed, struck, told_of
from .shaped import readable, written
from .signatures import Signatures

FORM: Final = "application/x-www-form-urlencoded"
_OURS: Final = {"content-length"}
"""Headers that are the request's own: what a Task says of them is not heard."""
_AUTHORISATIONS: Final = {"NO_AUTH": False, "IAM_ROLE": True, "RESOURCE_POLICY": True}
"""Whether a request is signed. By a resource policy AWS signs as itself, which nobody else can: here as by a role."""
_RANGE: Final = "bytes=0-262144"
_ARRAYS: Final = {"BRACKETS", "COMMAS", "INDICES", "NONE", "REPEAT"}
_NOBODY: Final = Connection("")


class Wanted(NamedTuple):
    """A request as a Task wants it, and how the Task fails: by the names of its kind.

    `signed` asks for a signature; `sets` are headers of the kind itself, where neither Task nor connection has them.
    """

    method: str
    url: str
    headers: list[tuple[str, str]]
    query: list[tuple[str, str]]
    body: Json
    form: str | None
    connection: str | None
    signed: bool
    sets: dict[str, str]
    failing: str
    broken: str


class HttpTasks:
    """Makes requests for Tasks."""

    def __init__(self, hosts: Hosts, signing: Signing, signatures: Signatures, region: str) -> None:
        self._hosts = hosts
        self._signing = signing
        self._signatures = signatures
        self._agent = f"Amazon|StepFunctions|HttpInvoke|{region}"

    async def __call__(self, call: Call) -> Value:
        """The answer, as admitted JSON. Raises TaskError."""
        wanted = self._wanted(call)
        secrets: list[str] = []
        with told_of(wanted.broken, secrets):
            connection = _NOBODY
            if wanted.connection is not None:
                connection = await self._signing.connection(wanted.connection)
                secrets += connection.secrets
            request = _request(wanted, connection)
            if call.trace is not None:
                call.trace.request = traces.sent(request if call.trace.reveal else _request(wanted, _NOBODY))
            if wanted.signed:
                request, signature = await self._signatures.signed(request)
                secrets += signature
            answer = await self._hosts.send(request)
        shown = _without(secrets, answer)
        if call.trace is not None:
            call.trace.response = traces.came(request, answer if call.trace.reveal else shown)
        if answer.status >= 300:
            raise TaskError(f"{wanted.failing}.{answer.status}", readable(shown.body) or answer.reason)
        return admit_tree(_result(shown))

    def _wanted(self, call: Call) -> Wanted:
        arguments = tree(call.arguments)
        reader = _api_gateway if ":apigateway:" in call.resource else _plain
        try:
            wanted = reader(arguments, self._agent)
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as wrong:
            field = wrong.args[0] if isinstance(wrong, Malformed | KeyError) else "Parameters"
            raise Unstartable(call.arguments, invalid(field)) from None
        # AWS's guide: the Task fails with States.Runtime. The words are those of a creation, unverified here.
        if (why := forbidden_headers(parse_resource(call.resource).kind, [name for name, _ in wanted.headers])):
            raise Unstartable(call.arguments, why)
        return wanted


def _without(secrets: list[str], answer: Answer) -> Answer:
    """The answer, without what it repeats of the secrets."""
    headers = [(name, struck(value, secrets)) for name, value in answer.headers]
    return answer._replace(headers=headers, body=struck(readable(answer.body), secrets).encode())


def _result(answer: Answer) -> dict[str, Json]:
    headers: dict[str, list[str]] = {}
    for name, value in answer.headers:
        headers.setdefault(name, []).append(value)
    return {
        "Headers": dict(sorted(headers.items())),
        "ResponseBody": parsed(readable(answer.body)),
        "StatusCode": answer.status,
        "StatusText": answer.reason,
    }


# --- what a Task wants ------------------------------------------------------------------------------------------------


def _plain(arguments: Json, agent: str) -> Wanted:
    transform = arguments.get("Transform") or {}
    form = None
    if transform.get("RequestBodyEncoding") == "URL_ENCODED":
        form = (transform.get("RequestEncodingOptions") or {}).get("ArrayFormat", "INDICES")
        if form not in _ARRAYS:
            raise Malformed("ArrayFormat")
    sign = arguments.get("Authentication") or arguments.get("InvocationConfig") or {}
    connection = sign.get("ConnectionArn")
    if not isinstance(connection, str | None):
        raise Malformed("ConnectionArn")
    return Wanted(
        method=_method(arguments["Method"]),
        url=_address(arguments["ApiEndpoint"]),
        headers=_headers(arguments.get("Headers"), lists=False),
        query=pairs(arguments.get("QueryParameters"), "QueryParameters"),
        body=arguments.get("RequestBody"),
        form=form,
        connection=connection,
        signed=False,
        sets={"User-Agent": agent, "Range": _RANGE},
        failing="States.Http.StatusCode",
        broken="States.Http.Socket",
    )


def _api_gateway(arguments: Json, agent: str) -> Wanted:
    if (authorisation := arguments.get("AuthType", "NO_AUTH")) not in _AUTHORISATIONS:
        raise Malformed("AuthType")
    host = _address(arguments["ApiEndpoint"])
    path = "/".join(str(part).strip("/") for part in (arguments.get("Stage"), arguments.get("Path")) if part)
    return Wanted(
        method=_method(arguments["Method"]),
        url=f"{host if '://' in host else f'https://{host}'}/{quote(path, safe='/:@!$&()*+,;=~')}",
        headers=_headers(arguments.get("Headers"), lists=True),
        query=pairs(arguments.get("QueryParameters"), "QueryParameters"),
        body=arguments.get("RequestBody"),
        form=None,
        connection=None,
        signed=_AUTHORISATIONS[authorisation],
        sets={"User-Agent": agent},
        failing="ApiGateway",
        broken="ApiGateway.SdkClientException",
    )


def _method(value: Json) -> str:
    if value not in {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"}:
        raise Malformed("Method")
    return str(value)


def _address(value: Json) -> str:
    try:
        urlsplit(value)
    except (ValueError, TypeError, AttributeError):
        raise Malformed("ApiEndpoint") from None
    return str(value)


def _headers(given: Json, *, lists: bool) -> list[tuple[str, str]]:
    """API Gateway's values are arrays (recorded: a text has an invalid format)."""
    if lists and not all(isinstance(value, list) for value in (given or {}).values()):
        raise Malformed("Headers")
    return [(name, value) for name, value in pairs(given, "Headers") if name.lower() not in _OURS]


# --- the request ------------------------------------------------------------------------------------------------------


def _request(wanted: Wanted, connection: Connection) -> Request:
    """The request that is sent; where Task and connection say the same, the connection wins."""
    split = urlsplit(wanted.url)
    asked = [(name, value) for name, value in wanted.query if name not in connection.query]
    query = "&".join(part for part in (split.query, _encoded([*asked, *connection.query.items()])) if part)
    body = _merged(wanted.body, connection.body)
    added = {name.lower() for name in connection.headers}
    headers = [(name, value) for name, value in wanted.headers if name.lower() not in added]
    headers += connection.headers.items()
    sets = dict(wanted.sets)
    if body is not None:
        sets["Content-Type"] = FORM if wanted.form else "application/json; charset=UTF-8"
    said = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in sets.items() if name.lower() not in said]
    return Request(
        wanted.method,
        urlunsplit(split._replace(query=query, fragment="")),
        headers,
        None if body is None else _body(body, wanted.form),
    )


def _merged(body: Json, added: Mapping[str, str]) -> Json:
    if not added:
        return body
    if body is not None and not isinstance(body, dict):
        raise TaskError(RUNTIME, "The RequestBody is no object: what the connection adds cannot be merged with it")
    return (body or {}) | dict(added)


def _encoded(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs as in AWS's examples, a space as %20: what is signed must be written in no other way."""
    return urlencode(list(pairs), quote_via=quote)


def _body(body: Json, form: str | None) -> bytes:
    if form is not None and isinstance(body, dict):
        return _encoded(_flat(body, form)).encode()
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
