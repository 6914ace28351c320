"""ARNs and names: how executions, machines and functions are called, and which names AWS refuses."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from .errors import InvalidArn, InvalidName

ACCOUNT = "123456789012"
REGION = "us-east-1"
PARTITION = "aws"

_ASKED_DIGITS = 18
_FORBIDDEN = re.compile(
    r"[\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]"
)


class Arn(NamedTuple):
    """An ARN in its six parts; `resource` is all that follows the account."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN, or None where the text is none."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return None
    return Arn(*parts[1:])


class MachineArn(NamedTuple):
    """What an ARN of a state machine says: the machine's own ARN, and what qualifies it.

    `qualifier` is a version's number or an alias, `label` that of a Map state whose children run as a machine.
    """

    arn: str
    name: str
    qualifier: str | None = None
    label: str | None = None


def states_arn(text: str, *kinds: str) -> tuple[str, str]:
    """The kind and the rest of a Step Functions ARN that is one of these kinds; raises InvalidArn (texts recorded)."""
    arn = parse_arn(text)
    if arn is None or arn.service != "states":
        raise InvalidArn(f"Invalid Arn: 'Invalid ARN prefix: {text}'")
    kind, _, rest = arn.resource.partition(":")
    if kind not in kinds:
        raise InvalidArn(f"Invalid Arn: 'Resource type not valid in this context: {kind}'")
    return kind, rest


def execution_arn(text: str) -> str:
    """The ARN itself of an execution of a STANDARD machine; those of EXPRESS ones are found in logs alone."""
    states_arn(text, "execution")
    return text


def machine_arn(text: str) -> MachineArn:
    """A state machine's ARN, taken apart; raises InvalidArn."""
    _, rest = states_arn(text, "stateMachine")
    named, colon, qualifier = rest.partition(":")
    name, slash, label = named.partition("/")
    if not name or (colon and not qualifier) or (slash and not label) or ":" in qualifier:
        raise InvalidArn(f"Invalid Arn: 'Invalid ARN resource: {rest}'")
    own = text[: len(text) - len(rest)] + name
    return MachineArn(own, name, qualifier or None, label or None)


def map_run(machine: str, label: str, unique: str) -> str:
    """The ARN of a run of the distributed Map of that label, in an execution of the machine of that ARN."""
    return f"{child_machine(machine, label).replace(':stateMachine:', ':mapRun:', 1)}:{unique}"


def child_machine(machine: str, label: str) -> str:
    """The ARN of the machine that the items of a distributed Map run (a Map inside of one keeps the outer's name)."""
    return f"{machine_arn(machine).arn}/{label}"


def check_name(name: str) -> str:
    """The name itself, if AWS would take it for a machine or an execution; raises InvalidName."""
    if not 1 <= len(name) <= 80 or _FORBIDDEN.search(name):
        raise InvalidName(f"Invalid Name: '{name}'")
    return name


def task_token(execution: str, asked: int, nonce: bytes) -> str:
    """A task token: it tells the engine which task it answers, and nobody can make it up.

    `asked` is the event that asks for the task, or, where that was not known yet, the one that opened its frame.

    Letters, digits, `-` and `_` alone, so that it can travel in an address.
    """
    return base64.urlsafe_b64encode(f"{execution}#{asked}#{nonce.hex()}".encode()).decode().rstrip("=")


def read_token(token: str) -> tuple[str, int] | None:
    """The execution's ARN and the event that `task_token` was given; None for a text that is no token."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        return None
    execution, _, rest = text.partition("#")
    asked, _, nonce = rest.partition("#")
    if not nonce or not asked.isdecimal() or len(asked) > _ASKED_DIGITS:
        return None
    return execution, int(asked)


class Home(NamedTuple):
    """Where an engine believes itself to be: account, region and partition of the ARNs it gives out."""

    account: str = ACCOUNT
    region: str = REGION
    partition: str = PARTITION

    def machine(self, name: str) -> str:
        """The ARN of a state machine."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:stateMachine:{name}"

    def activity(self, name: str) -> str:
        """The ARN of an activity."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:activity:{name}"

    def execution(self, machine: str, name: str) -> str:
        """The ARN of an execution of the machine of that name."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:execution:{machine}:{name}"

    def express(self, machine: str, name: str, unique: str) -> str:
        """The ARN of an execution of an EXPRESS machine; its name may be given again and again."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:express:{machine}:{name}:{unique}"

    def function(self, name: str) -> str:
        """The ARN of a Lambda function."""
        return f"arn:{self.partition}:lambda:{self.region}:{self.account}:function:{name}"

    def role(self, name: str = "stepfold") -> str:
        """The ARN of a role, for machines that name none."""
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"
