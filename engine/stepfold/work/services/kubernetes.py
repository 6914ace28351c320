"""`eks:call` and `eks:runJob`: what a Task asks of the Kubernetes API of an EKS cluster, and jobs to wait for.

    {"ClusterName": "main", "CertificateAuthority": "LS0tLS1CRUd...", "Endpoint": "https://abc.eks.amazonaws.com",
     "Method": "GET", "Path": "/api/v1/namespaces/default/pods", "QueryParameters": {"labelSelector": ["app=shop"]}}

gives `{"ResponseBody": ..., "StatusCode": 200, "StatusText": "OK"}`; a status from 300 on fails the Task by the name
`EKS.404`, with the same object as its cause. A job that was waited for is told as Kubernetes describes it, with its
`logs`. (From AWS's guide: the parameters, the error, its cause, the logs. Unverified: that an answer looks as the cause
does, the words about fields, the failure of a job that failed, and what a patch is sent as.)

Whoever signs in shows a URL of STS that is signed for the cluster, as `aws eks get-token` makes it. A job carries a
label that is made of its call, by which a second submission finds the first.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from stepfold.language.failures import TASK_FAILED
from stepfold.language.resources import parse_resource
from stepfold.query.values import Json, NotAdmitted, Value, admit, admit_tree, tree
from stepfold.work.call import Call, TaskError, Unstartable

from . import faults
from .calls import NO_CREDENTIALS
from .clients import Clients
from .hosts import Hosts, Request
from .requests import Malformed, invalid, pairs, parsed, struck, told_of
from .service_jobs import asked_after
from .shaped import readable, written
from .signatures import presigned

LABEL: Final = "stepfold/call"
_LABELS: Final = uuid.UUID("5a0c1f5e-0f3b-5c39-9d0e-5f2f4f6f7b11")
_TOKEN: Final = "k8s-aws-v1."  # noqa: S105 -- how every such token begins
_TOKEN_SECONDS: Final = 60
_SILENT: Final = "EKS.SdkClientException"
_NOT_FOUND: Final = 404
_METHODS: Final = {"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"}
_PATCHES: Final[Mapping[type, str]] = {list: "application/json-patch+json", dict: "application/merge-patch+json"}

_CLUSTER: Final[Mapping[str, tuple[type, ...]]] = {
    "ClusterName": (str,), "CertificateAuthority": (str,), "Endpoint": (str,),
}
_FIELDS: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = {
    "call": {**_CLUSTER, "Method": (str,), "Path": (str,), "QueryParameters": (dict,), "RequestBody": (object,)},
    "runJob": {**_CLUSTER, "Namespace": (str,), "Job": (dict, str), "LogOptions": (dict,)},
}
"""What the actions take."""
_OPTIONAL: Final = {"QueryParameters", "RequestBody", "Namespace", "LogOptions"}


class Reply(NamedTuple):
    """What the Kubernetes API answered; a body that is no JSON is a text."""

    status: int
    reason: str
    body: Json

    @property
    def shown(self) -> dict[str, Json]:
        """As a Task shows it."""
        return {"ResponseBody": self.body, "StatusCode": self.status, "StatusText": self.reason}


class Kubernetes:
    """Calls the Kubernetes API of clusters, and does their jobs (see `work/jobs.py`)."""

    def __init__(self, hosts: Hosts, clients: Clients) -> None:
        self._hosts = hosts
        self._clients = clients

    async def __call__(self, call: Call) -> Value:
        """The answer to what the Task asks, or to the job being handed over. Raises TaskError."""
        asked = _asked(call)
        if parse_resource(call.resource).action == "runJob":
            return admit_tree(await self._handed_over(call, asked))
        query = _made(call, lambda: pairs(asked.get("QueryParameters"), "QueryParameters"))
        reply = await self._ask(call, asked["Method"], asked["Path"], query, asked.get("RequestBody"))
        return admit_tree(reply.shown)

    async def submit(self, call: Call) -> Value:
        """Hand the job over: what the cluster answered. Raises TaskError."""
        return admit_tree(await self._handed_over(call, _asked(call)))

    async def wait(self, call: Call, receipt: Value) -> Value:
        """The job when it is complete, with its logs where they are wanted; raises TaskError where it failed."""
        path = _path(receipt)

        async def ask() -> Value | None:
            job = (await self._ask(call, "GET", path)).body
            if (end := _end(job)) is None:
                return None
            if logs := await self._logs(call, job):
                job |= {"logs": logs}
            if end == "Failed":
                raise TaskError(TASK_FAILED, written(job))
            return admit_tree(job)

        return await asked_after(call, ask)

    async def cancel(self, call: Call, receipt: Value) -> None:
        """Delete the job, and with it its pods."""
        try:
            await self._ask(call, "DELETE", _path(receipt), [("propagationPolicy", "Background")])
        except faults.Refused as refused:
            if refused.told.status != _NOT_FOUND:
                raise

    async def _handed_over(self, call: Call, asked: Mapping[str, Any]) -> dict[str, Json]:
        """What the cluster answers to the job, or, called again, tells of the one that it was given."""
        job = _made(call, lambda: _job(asked["Job"]))
        label = {LABEL: str(uuid.uuid5(_LABELS, call.token))}
        path = f"/apis/batch/v1/namespaces/{asked.get('Namespace', 'default')}/jobs"
        if call.attempt > 1:
            known = await self._ask(call, "GET", path, [("labelSelector", f"{LABEL}={label[LABEL]}")])
            if found := known.body["items"]:
                return Reply(201, "Created", {"apiVersion": "batch/v1", "kind": "Job"} | found[0]).shown
        job["metadata"]["labels"] |= label
        return (await self._ask(call, "POST", path, body=job)).shown

    async def _logs(self, call: Call, job: Json) -> dict[str, Json] | None:
        """What the containers of a job wrote, as far as it is wanted, and can be had."""
        wanted = _asked(call).get("LogOptions") or {}
        if not _is_true(wanted.get("RetrieveLogs")):
            return None
        pods = f"/api/v1/namespaces/{job['metadata']['namespace']}/pods"
        try:
            selector = [("labelSelector", f"job-name={job['metadata']['name']}")]
            found = (await self._ask(call, "GET", pods, selector)).body["items"]
        except TaskError as failed:
            return _missed(failed)
        told: dict[str, Json] = {}
        for pod in found:
            name = pod["metadata"]["name"]
            told[name] = {"containers": {
                one["name"]: await self._log(call, f"{pods}/{name}/log", one["name"], wanted)
                for one in pod["spec"]["containers"]
            }}
        return {"pods": told}

    async def _log(self, call: Call, path: str, container: str, wanted: Mapping[str, Any]) -> dict[str, Json]:
        try:
            query = [("container", container), *pairs(wanted.get("LogParameters"), "LogParameters")]
            return {"log": (await self._ask(call, "GET", path, query, raw=_is_true(wanted.get("RawLogs")))).body}
        except Malformed as wrong:
            return {"error": TASK_FAILED, "cause": invalid(str(wrong))}
        except TaskError as failed:
            return _missed(failed)

    async def _ask(
        self, call: Call, method: str, path: str, query: Sequence[tuple[str, str]] = (), body: Json = None, *,
        raw: bool = False,
    ) -> Reply:
        """One request to the cluster that the Task names. Raises faults.Refused, faults.Unanswered, TaskError."""
        asked = _asked(call)
        token = await self._token(asked["ClusterName"])
        headers = [("Accept", "application/json"), ("Authorization", f"Bearer {token}")]
        if body is not None:
            kind = _PATCHES.get(type(body)) if method == "PATCH" else None
            headers.append(("Content-Type", kind or "application/json"))
        request = Request(
            method,
            f"{asked['Endpoint'].rstrip('/')}/{quote(path.lstrip('/'), safe='/:@!$&()*+,;=~')}"
            f"{'?' if query else ''}{urlencode(query)}",
            headers,
            None if body is None else (body if isinstance(body, str) else written(body)).encode(),
            _made(call, lambda: _authority(asked["CertificateAuthority"])),
        )
        with told_of(_SILENT, [token]):
            answer = await self._hosts.send(request)
        text = struck(readable(answer.body), [token])
        reply = Reply(answer.status, answer.reason, text if raw and answer.status < 300 else parsed(text))
        if reply.status >= 300:
            told = faults.Told(str(reply.status), reply.reason, reply.status, "")
            raise faults.Refused(f"EKS.{reply.status}", written(reply.shown), told)
        return reply

    async def _token(self, cluster: str) -> str:
        """What shows the cluster who asks: a request to STS that only it may make, and that says who made it."""
        from botocore.exceptions import BotoCoreError, NoCredentialsError

        try:
            shown = {"x-k8s-aws-id": cluster}
            url = await presigned(self._clients, "sts", "GetCallerIdentity", shown, _TOKEN_SECONDS)
        except NoCredentialsError:
            raise faults.Unanswered(_SILENT, NO_CREDENTIALS) from None
        except BotoCoreError as error:
            raise faults.Unanswered(_SILENT, str(error)) from None
        return _TOKEN + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _is_true(option: Json) -> bool:
    return option is True or option == "true"


def _missed(failed: TaskError) -> dict[str, Json]:
    return {"error": failed.error, "cause": failed.cause}


def _path(receipt: Value) -> str:
    """Where the job is that a cluster answered with."""
    made = tree(receipt)["ResponseBody"]["metadata"]
    return f"/apis/batch/v1/namespaces/{made['namespace']}/jobs/{made['name']}"


def _end(job: Json) -> str | None:
    """The condition that ends a job, once one does."""
    conditions = job.get("status", {}).get("conditions") or [] if isinstance(job, dict) else []
    ends = (one["type"] for one in conditions if one["status"] == "True" and one["type"] in {"Complete", "Failed"})
    return next(ends, None)


# --- what a Task gives ------------------------------------------------------------------------------------------------


def _asked(call: Call) -> dict[str, Any]:
    """The arguments, each of its type. Raises Unstartable."""
    arguments = tree(call.arguments)
    fields = _FIELDS[parse_resource(call.resource).action]
    if not isinstance(arguments, dict):
        raise Unstartable(call.arguments, invalid("Parameters"))
    wrong = [f"The field '{name}' is not supported by Step Functions" for name in arguments if name not in fields]
    for name, types in fields.items():
        if arguments.get(name) is None:
            wrong += [] if name in _OPTIONAL else [f"The field '{name}' is required but was missing"]
        elif not isinstance(arguments[name], types):
            wrong.append(invalid(name))
    if arguments.get("Method", "GET") not in _METHODS:
        wrong.append(invalid("Method"))
    if wrong:
        raise Unstartable(call.arguments, ", ".join(wrong))
    return {name: value for name, value in arguments.items() if value is not None}


def _made(call: Call, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Malformed as wrong:
        raise Unstartable(call.arguments, invalid(str(wrong))) from None


def _job(given: Json) -> dict[str, Any]:
    """A job, which may be told as a text; one's own, with a place for labels."""
    try:
        job: Any = tree(admit(given)) if isinstance(given, str) else given
    except NotAdmitted:
        raise Malformed("Job") from None
    metadata = (job.get("metadata") or {}) if isinstance(job, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("labels") or {}, dict):
        raise Malformed("Job")
    own: dict[str, Any] = job | {"metadata": metadata | {"labels": metadata.get("labels") or {}}}
    return own


def _authority(given: str) -> str:
    if not given:  # (it would stand for all authorities that this machine knows)
        raise Malformed("CertificateAuthority")
    try:
        return base64.b64decode(given, validate=True).decode("ascii")
    except ValueError:
        raise Malformed("CertificateAuthority") from None
