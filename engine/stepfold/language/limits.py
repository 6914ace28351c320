"""Every limit, named: AWS's profile, and stepfold's own for work that never goes to AWS."""

from __future__ import annotations

import msgspec

DEFINITION_BYTES = 1_048_576
"""The largest definition (AWS)."""
NAME_CHARACTERS = 80
"""The longest name of a machine, an execution or a state (AWS)."""
MACHINES = 100_000
"""How many machines there may be (AWS)."""
VERSIONS = 1_000
"""How many versions a machine may have (AWS)."""
ALIASES = 100
"""How many aliases a machine may have (AWS)."""
TAGS = 50
"""How many tags a machine or an activity may carry (AWS)."""
MAX_SECONDS = 99_999_999
"""The largest TimeoutSeconds, HeartbeatSeconds, IntervalSeconds or Seconds (AWS)."""
MAX_DELAY_SECONDS = 31_622_400
"""The largest MaxDelaySeconds of a retrier (AWS)."""
ACTIVITIES = 10_000
"""How many activities there may be (AWS)."""
ACTIVITY_POLLERS = 1_000
"""How many workers may poll for one activity at once (AWS)."""
LABEL_CHARACTERS = 40
"""The longest Label of a Map (AWS)."""
READER_ITEMS = 100_000_000
"""The most items that an ItemReader may be told to read (AWS)."""
PAYLOAD_BYTES = 262_144
"""The largest input, result or output of a state (AWS)."""
BATCH_BYTES = 262_144
"""The largest MaxInputBytesPerBatch of an ItemBatcher (AWS)."""
MAP_RUN_EXECUTIONS = 10_000
"""How many executions of one map run may be open at once (AWS)."""
MAP_RUN_REDRIVES = 1_000
"""How often one map run may be redriven (AWS)."""
EXPRESS_SECONDS = 300
"""How long an EXPRESS execution may take (AWS)."""
TRIED_SECONDS = 300
"""How long one state may take that is tried by itself (AWS)."""
STANDARD_DAYS = 365
"""The greatest age of a STANDARD execution (AWS)."""
REDRIVABLE_DAYS = 14
"""How long after its end an execution may be redriven (AWS)."""
REDRIVE_TOKENS = 10
"""The tokens of so many redrives are remembered (AWS)."""
REDRIVE_TOKEN_MINUTES = 15
"""How long the token of a redrive makes a repetition of it harmless (AWS)."""
MAX_WAIT_SECONDS = 2_147_483_647
"""A Wait beyond this many seconds fails: 24,855 days pass, 24,856 do not (recorded)."""
VARIABLES_BYTES = 10_485_760
"""How much the variables that a state sees may come to (AWS: 10 MiB, over all scopes of an execution)."""
DECISION_EVENTS = 1_000
"""A decision ends at the first boundary past this many events, so that a stop is heard soon."""
DECISION_BYTES = 1_048_576
"""Likewise, bytes of values recorded by one decision."""

FRAMES = 1_000_000
"""How many branches and items of one execution may be open at once, however nested: two gigabytes of memory."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits an execution lives under; recorded when it starts, so that a resume decides alike.

    `payload` is in bytes of UTF-8 (an Assign has the same limit), `history` in AWS events (None: no ceiling),
    `map_frames` the iterations of one inline Map that may be open at once when its MaxConcurrency says nothing.
    Of an error's name and of its cause no more is recorded, or seen by a Catch, than so many characters: AWS's API
    carries no longer ones, in any answer.
    """

    profile: str = "aws"
    payload: int = PAYLOAD_BYTES
    history: int | None = 25_000
    map_frames: int = 10_000
    error_characters: int = 256
    cause_characters: int = 32_768

    @classmethod
    def aws(cls) -> Limits:
        """AWS's limits: 256 KiB a payload, 25,000 events an execution."""
        return cls()

    @classmethod
    def local(cls) -> Limits:
        """For work that stays here: no ceiling on events, 64 MiB a payload."""
        return cls(profile="local", payload=64 * 1024 * 1024, history=None)

    @classmethod
    def named(cls, profile: str) -> Limits:
        """The profile of that name (`aws` or `local`); raises ValueError for another."""
        match profile:
            case "aws":
                return cls.aws()
            case "local":
                return cls.local()
        raise ValueError(f"no limits are called {profile!r}: say 'aws' or 'local'")
