"""`bedrockagentcore:invokeHarness`: a stream of events, told as one answer."""

from __future__ import annotations

import json
import struct
import zlib

import pytest

from stepfold import Engine
from stepfold.runtime.handle import ExecutionFailed
from stepfold.runtime.outside import reach_services
from stepfold.work.services.converse import conversed

from .far_side import ENVIRONMENT, Told

pytestmark = pytest.mark.anyio

HARNESS = "arn:aws:bedrock-agentcore:us-east-1:123456789012:harness/h-0123456789"
SESSION = "a-session-that-is-long-enough-for-it"
STREAM = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Let me see."}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}}),
    ("messageStop", {"stopReason": "tool_use"}),
    ("metadata", {"usage": {"inputTokens": 5, "outputTokens": 1, "totalTokens": 6}, "metrics": {"latencyMs": 9}}),
    ("messageStart", {"role": "user"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a tool said this"}}),
    ("messageStop", {"stopReason": "tool_result"}),
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "Hm."}}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "It is "}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "four."}}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 7, "outputTokens": 2, "totalTokens": 9}, "metrics": {"latencyMs": 11}}),
]


def frame(kind, event, payload):
    """One message of AWS's event streams."""
    said = {":message-type": kind, f":{kind}-type": event, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in said.items())
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return whole + struct.pack(">I", zlib.crc32(whole))


async def invoke(server, monkeypatch):
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    engine = Engine()
    reach_services(engine)
    async with engine:
        handle = await engine.start(await engine.create("m", {"StartAt": "T", "States": {"T": {
            "Type": "Task", "Resource": "arn:aws:states:::bedrockagentcore:invokeHarness", "End": True, "Parameters": {
                "HarnessArn": HARNESS, "RuntimeSessionId": SESSION,
                "Messages": [{"Role": "user", "Content": [{"Text": "2 + 2?"}]}]}}}}))
        return await handle.result()


async def test_the_last_message_is_told_and_tokens_are_added_up(monkeypatch):
    stream = b"".join(frame("event", name, payload) for name, payload in STREAM)
    with Told((200, stream, {"Content-Type": "application/vnd.amazon.eventstream"})) as server:
        assert await invoke(server, monkeypatch) == {
            "Output": {"Message": {"Content": [{"Text": "It is four."}], "Role": "assistant"}},
            "StopReason": "end_turn",
            "Usage": {"InputTokens": 12, "OutputTokens": 3, "TotalTokens": 15},
            "Metrics": {"LatencyMs": 11},
        }
        sent = server.asked[0]
        assert json.loads(sent["body"])["messages"] == [{"role": "user", "content": [{"text": "2 + 2?"}]}]


async def test_a_stream_that_breaks_off_with_an_error_fails_the_task(monkeypatch):
    stream = frame("event", *STREAM[0]) + frame("exception", "internalServerException", {"message": "oh"})
    fails = pytest.raises(ExecutionFailed, match=r"BedrockAgentCore\.\w+Exception: oh")
    with Told((200, stream, {"Content-Type": "application/vnd.amazon.eventstream"})) as server, fails:
        await invoke(server, monkeypatch)


def test_nothing_was_said():
    assert conversed([])["Output"] == {"Message": {"Content": [], "Role": "assistant"}}
