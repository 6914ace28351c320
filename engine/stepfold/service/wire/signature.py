"""AWS Signature Version 4, verified: who sent a request, and that nothing of it was changed on the way.

The hash of the body is always computed here and never taken from a header. Host, date and every `x-amz-` header must be
signed. Presigned addresses, session tokens and unsigned payloads are refused. As at AWS, the same signed request is
good again within the five minutes: clients do send two equal requests in one second, and their signatures are equal.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import quote

from .keys import Key
from .protocol import Call, Refusal

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "states"
SKEW: Final = timedelta(minutes=5)
"""How far a request's date may lie from now."""
DATE: Final = "%Y%m%dT%H%M%SZ"

_SCOPE: Final = re.compile(r"(\w+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request", re.ASCII)
_STAMP: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_WRONG: Final = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class _Claim(NamedTuple):
    """What an Authorization header says."""

    key: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str

    @property
    def scope(self) -> str:
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


def verify(call: Call, keys: Mapping[str, Key], now: datetime) -> Key:
    """The key that signed the call; raises Refusal (403) where none of ours did, or not lately, or not all of it."""
    claim = _claim(call)
    stamp = _stamp(call, claim, now)
    key = keys.get(claim.key)
    if key is None or "x-amz-security-token" in call.headers:
        raise _refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
    to_sign = "\n".join((ALGORITHM, stamp, claim.scope, _hash(_canonical(call, claim.signed))))
    expected = hmac.new(_signing_key(key.secret, claim), to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise _refusal("InvalidSignatureException", _WRONG)
    return key


def _claim(call: Call) -> _Claim:
    header = call.headers.get("authorization")
    if header is None:
        raise _refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = header.partition(" ")
    pairs = [part.strip().partition("=") for part in rest.split(",")]
    said = {name: value for name, _, value in pairs}
    scope = _SCOPE.fullmatch(said.get("Credential", ""))
    signed = tuple(said.get("SignedHeaders", "").split(";"))
    signature = said.get("Signature", "")
    if algorithm != ALGORITHM or len(pairs) != 3 or scope is None or not re.fullmatch("[0-9a-f]{64}", signature):
        raise _refusal("IncompleteSignatureException", f"The Authorization header is not one of {ALGORITHM}")
    if scope[4] != SERVICE:
        raise _refusal("InvalidSignatureException", f"Credential should be scoped to correct service: '{SERVICE}'.")
    wanted = {"host", "x-amz-date"} | {name for name in call.headers if name.startswith("x-amz-")}
    if missing := sorted(wanted.difference(signed)):
        told = f"There were headers present in the request which were not signed: {', '.join(missing)}"
        raise _refusal("InvalidSignatureException", told)
    return _Claim(scope[1], scope[2], scope[3], scope[4], signed, signature)


def _stamp(call: Call, claim: _Claim, now: datetime) -> str:
    """The date of the call, as written; raises Refusal where it is not that of now."""
    stamp = call.headers.get("x-amz-date", "")
    sent = _date(stamp)
    if sent is None:
        raise _refusal("IncompleteSignatureException", "X-Amz-Date must be YYYYMMDDTHHMMSSZ")
    if stamp[:8] != claim.day:
        told = f"Date in Credential scope does not match the date of the request: '{claim.day}' != '{stamp[:8]}'"
        raise _refusal("InvalidSignatureException", told)
    ours = now.astimezone(UTC)
    if sent < ours - SKEW:
        bound = f"{ours - SKEW:{DATE}} ({ours:{DATE}} - 5 min.)"
        raise _refusal("InvalidSignatureException", f"Signature expired: {stamp} is now earlier than {bound}")
    if sent > ours + SKEW:
        bound = f"{ours + SKEW:{DATE}} ({ours:{DATE}} + 5 min.)"
        raise _refusal("InvalidSignatureException", f"Signature not yet current: {stamp} is still later than {bound}")
    return stamp


def _date(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, DATE).replace(tzinfo=UTC) if _STAMP.fullmatch(stamp) else None
    except ValueError:
        return None


def _canonical(call: Call, signed: tuple[str, ...]) -> str:
    """The call in the one form that both sides sign."""
    headers = "".join(f"{name}:{' '.join(call.headers.get(name, '').split())}\n" for name in signed)
    query = "&".join(sorted(part if "=" in part else f"{part}=" for part in call.query.split("&") if part))
    path = quote(call.path or "/", safe="/~")
    return "\n".join((call.method, path, query, headers, ";".join(signed), hashlib.sha256(call.body).hexdigest()))


def _signing_key(secret: str, claim: _Claim) -> bytes:
    derived = f"AWS4{secret}".encode()
    for part in (claim.day, claim.region, claim.service, "aws4_request"):
        derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
    return derived


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _refusal(code: str, text: str) -> Refusal:
    return Refusal(code, text, status=403)
