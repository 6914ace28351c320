"""What a Task's Resource asks for: its kind, its action, and the pattern of waiting for the answer."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from stepfold.names import parse_arn

Pattern: TypeAlias = Literal["answer", "sync", "waitForTaskToken"]
Family: TypeAlias = Literal["Lambda", "Activity", "Task"]
"""Which family of history events records the task."""

_INTEGRATION = re.compile(r"(?P<service>(?:aws-sdk:)?[^:.]+):(?P<action>[^:.]+)(?:\.(?P<pattern>.+))?$")


class Resource(NamedTuple):
    """A Resource ARN, understood.

    `kind` is `lambda`, `activity`, or the integration's service (`sqs`, `aws-sdk:s3`, `http`); `action` the function or
    activity name, or the action (`sendMessage`). `suffix` is the pattern as written (`sync:2`), which history shows.
    """

    arn: str
    family: Family
    kind: str
    action: str
    pattern: Pattern = "answer"
    suffix: str = ""
    outward: bool = False
    """Whether the answer comes from outside (a callback or an activity's worker) rather than from a worker here."""

    @property
    def sized(self) -> str:
        """What AWS calls it in its texts about size: the service, or the ARN (language notes, section 11)."""
        return self.kind if self.family == "Task" else self.arn

    @property
    def recorded(self) -> str:
        """The `resource` of its Task history events."""
        return f"{self.action}.{self.suffix}" if self.suffix else self.action


@lru_cache(maxsize=4096)
def parse_resource(text: str) -> Resource:
    """Understand a Resource; raises ValueError for a text that is no ARN or names nothing known."""
    arn = parse_arn(text)
    if arn is None:
        raise ValueError(f"{text!r} is not an ARN")
    if arn.service == "lambda" and arn.resource.startswith("function:"):
        return Resource(text, "Lambda", "lambda", arn.resource.split(":")[1])
    if arn.service == "states":
        if arn.resource.startswith("activity:"):
            return Resource(text, "Activity", "activity", arn.resource.split(":", 1)[1], outward=True)
        if found := _INTEGRATION.match(arn.resource):
            suffix = found["pattern"] or ""
            if suffix in ("", "sync", "sync:2", "waitForTaskToken"):
                pattern: Pattern = "answer"
                if suffix:
                    pattern = "waitForTaskToken" if suffix == "waitForTaskToken" else "sync"
                outward = pattern == "waitForTaskToken"
                return Resource(text, "Task", found["service"], found["action"], pattern, suffix, outward)
    raise ValueError(f"{text!r} names no resource that a Task can call")
