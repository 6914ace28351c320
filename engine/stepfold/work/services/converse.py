"""What a harness of Bedrock AgentCore streams, told as Step Functions does: in the shape of Converse's answer.

Of a conversation the last message of the assistant is left, and of that its texts; tokens are added up over all of it.
(From AWS's guide: what is kept, what is left out, and the sum. Unverified: that the latency is the last one told.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from stepfold.query.values import Json


def conversed(events: Iterable[Mapping[str, Any]]) -> dict[str, Json]:
    """The events of a stream, by the names that Step Functions gives them, as one answer."""
    said: dict[str, Json] = {"Output": {"Message": {"Content": [], "Role": "assistant"}}}
    texts: dict[int, str] = {}
    role = "assistant"
    tokens: Counter[str] = Counter()
    for event in events:
        if started := event.get("MessageStart"):
            role, texts = started["Role"], {}
        elif text := event.get("ContentBlockDelta", {}).get("Delta", {}).get("Text"):
            block = event["ContentBlockDelta"]["ContentBlockIndex"]
            texts[block] = texts.get(block, "") + text
        elif (stopped := event.get("MessageStop")) and role == "assistant":
            said["StopReason"] = stopped["StopReason"]
            said["Output"]["Message"]["Content"] = [{"Text": texts[block]} for block in sorted(texts)]
        elif told := event.get("Metadata"):
            tokens.update({name: count for name, count in told.get("Usage", {}).items() if name in _COUNTED})
            said |= {"Metrics": told["Metrics"]} if "Metrics" in told else {}
    return said | {"Usage": {name: tokens[name] for name in _COUNTED}}


_COUNTED = ("InputTokens", "OutputTokens", "TotalTokens")
