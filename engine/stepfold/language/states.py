"""The eight state types, as data: one tagged union, decoded straight from the definition's JSON.

Field names are the language's own (read `TimeoutSeconds` as `timeout_seconds`). What a field means, and which
value it may have, is said by `check.py`; what follows from it, by the interpreter.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

NameList: TypeAlias = list[str]


class _Fields(msgspec.Struct, rename="pascal", frozen=True, omit_defaults=True):
    """Common to all the parts of a definition; fields nobody knows are passed over here, and refused by `check`."""


class Retrier(_Fields, kw_only=True, frozen=True):
    """When to try again after a failure, and how long to wait first (seconds)."""

    error_equals: NameList
    interval_seconds: int = 1
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay_seconds: int | None = None
    jitter_strategy: str = "NONE"
    comment: str | None = None


class Catcher(_Fields, kw_only=True, frozen=True):
    """Where to go on after a failure that no retrier takes. A `result_path` of None keeps the input alone."""

    error_equals: NameList
    next: str
    result_path: str | None = "$"
    output: Raw | UnsetType = UNSET
    assign: Raw | UnsetType = UNSET
    comment: str | None = None


class _State(_Fields, tag_field="Type", frozen=True):
    comment: str | None = None
    query_language: str | None = None
    input_path: str | None = "$"
    output_path: str | None = "$"
    output: Raw | UnsetType = UNSET
    assign: Raw | UnsetType = UNSET


class _Flow(_State, frozen=True):
    next: str | None = None
    end: bool = False


class Pass(_Flow, tag="Pass", frozen=True):
    """Hand the input on, or a fixed or built result."""

    parameters: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    result_path: str | None = "$"


class Task(_Flow, tag="Task", kw_only=True, frozen=True):
    """Have a resource do a piece of work."""

    resource: str
    parameters: Raw | UnsetType = UNSET
    arguments: Raw | UnsetType = UNSET
    result_selector: Raw | UnsetType = UNSET
    result_path: str | None = "$"
    timeout_seconds: int | str | None = None
    timeout_seconds_path: str | None = None
    heartbeat_seconds: int | str | None = None
    heartbeat_seconds_path: str | None = None
    credentials: Raw | UnsetType = UNSET
    retry: list[Retrier] = []
    catch: list[Catcher] = []


class Choice(_State, tag="Choice", kw_only=True, frozen=True):
    """Go where the first rule that holds points; else to the default. A rule stays JSON here (see `rules.py`)."""

    choices: list[dict[str, Any]]
    default: str | None = None


class Wait(_Flow, tag="Wait", frozen=True):
    """Let time pass: exactly one of the four forms is given."""

    seconds: int | float | str | None = None
    seconds_path: str | None = None
    timestamp: str | None = None
    timestamp_path: str | None = None


class Succeed(_State, tag="Succeed", frozen=True):
    """End well."""


class Fail(_State, tag="Fail", frozen=True):
    """End badly, with an error and a cause."""

    error: str | None = None
    error_path: str | None = None
    cause: str | None = None
    cause_path: str | None = None


class Block(_Fields, kw_only=True, frozen=True):
    """A part of a machine that runs by itself: a branch, or what a Map does to each item."""

    start_at: str
    states: dict[str, State]
    comment: str | None = None


class Parallel(_Flow, tag="Parallel", kw_only=True, frozen=True):
    """Run several branches at once; the result is the array of theirs."""

    branches: list[Block]
    parameters: Raw | UnsetType = UNSET
    arguments: Raw | UnsetType = UNSET
    result_selector: Raw | UnsetType = UNSET
    result_path: str | None = "$"
    retry: list[Retrier] = []
    catch: list[Catcher] = []


class ProcessorConfig(_Fields, frozen=True):
    """How a Map runs its items: INLINE in the same history, or DISTRIBUTED as executions of their own."""

    mode: str = "INLINE"
    execution_type: str | None = None


class Processor(Block, frozen=True):
    """What a Map does to each item."""

    processor_config: ProcessorConfig = ProcessorConfig()


class ItemBatcher(_Fields, frozen=True):
    """How many items, or how many bytes of them, go into one execution of a distributed Map."""

    max_items_per_batch: int | str | None = None
    max_items_per_batch_path: str | None = None
    max_input_bytes_per_batch: int | str | None = None
    max_input_bytes_per_batch_path: str | None = None
    batch_input: Raw | UnsetType = UNSET


class Map(_Flow, tag="Map", kw_only=True, frozen=True):
    """Do the same to every item of an array. `iterator` and `parameters` are the older names of the first two."""

    item_processor: Processor | None = None
    iterator: Processor | None = None
    items_path: str | None = None
    items: Raw | UnsetType = UNSET
    item_selector: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET
    max_concurrency: int | str | None = None
    max_concurrency_path: str | None = None
    result_selector: Raw | UnsetType = UNSET
    result_path: str | None = "$"
    tolerated_failure_count: int | str | None = None
    tolerated_failure_count_path: str | None = None
    tolerated_failure_percentage: float | str | None = None
    tolerated_failure_percentage_path: str | None = None
    item_reader: Raw | UnsetType = UNSET
    item_batcher: ItemBatcher | None = None
    result_writer: Raw | UnsetType = UNSET
    label: str | None = None
    retry: list[Retrier] = []
    catch: list[Catcher] = []

    @property
    def processor(self) -> Processor:
        """The block each item goes through, under its new or its old name."""
        block = self.item_processor or self.iterator
        if block is None:
            raise ValueError("a Map without ItemProcessor passed the check")
        return block

    @property
    def distributed(self) -> bool:
        """Whether its items are executions of their own."""
        return self.processor.processor_config.mode == "DISTRIBUTED"


State: TypeAlias = Pass | Task | Choice | Wait | Succeed | Fail | Parallel | Map


class StateMachine(Block, frozen=True):
    """A whole definition."""

    version: str | None = None
    timeout_seconds: int | None = None
    query_language: str = "JSONPath"
