"""An execution as one text, and back: what a resume begins from, so that it need not fold a long log from its start.

A snapshot says nothing that the log does not say. It is written between two decisions, and read by the very code that
wrote it, or not at all: it bears a *form*, the digest of the code and the fields that make an execution, and whoever
finds another form, or a text that cannot be read, folds the log. So nothing here must ever stay as it is.

Frames stand in a flat table and name each other by number. Values stand in another, each once however many hold it: the
items of a Map are its input, its frame's value and the execution's input.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, TypeVar

import msgspec

from stepfold.language import failures, limits
from stepfold.language.failures import Failure
from stepfold.query import template, values
from stepfold.query.template import NO_VARIABLES, Variables
from stepfold.query.values import NULL, Value

from . import execution as fold
from . import facts, frames
from .execution import Execution, Status
from .frames import Branches, Evaluation, Executions, Frame, Invocation, Items, Stage, Timer

T = TypeVar("T")


# --- what is written: a row for each class, with the same fields, where references are numbers ------------------------


class _Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    pass


class _Outputs(_Row, frozen=True):
    """What has come of branches: a JSON array, of how many in all, and which of those that have begun are missing."""

    array: int
    length: int
    missing: list[int]


class _Invocation(_Row, frozen=True, tag=True):
    arguments: int
    asked: int
    attempt: int
    beat: int
    heartbeat: int | None
    outward: bool
    receipt: int | None
    resource: str
    since: int
    started: bool
    timeout: int | None
    token: str | None


class _Timer(_Row, frozen=True, tag=True):
    asked: int
    until: int


class _Branches(_Row, frozen=True, tag=True):
    next: int
    outputs: _Outputs
    running: dict[int, int]


class _Items(_Branches, frozen=True, tag=True):
    """All but `source`, which is read off the text."""

    concurrency: int
    limited: bool
    link: int
    start: str
    text: int


class _Executions(_Row, frozen=True, tag=True):
    asked: int
    concurrency: int
    ended: bool
    failure: Failure | None
    length: int
    redrives: int
    run: facts.MapRunStarted | None
    source: int


class _Evaluation(_Row, frozen=True):
    asked: int
    field: str


class _Frame(_Row, frozen=True):
    before: int
    entered_at: int
    entered_id: int
    evaluated: dict[str, int | Failure]
    evaluating: _Evaluation | None
    failure: Failure | None
    index: int
    input: int
    kind: str
    next: str | None
    parent: int | None
    pointer: int
    seq: int
    stage: Stage
    state: str
    stilled: bool
    token: str | None
    tries: dict[int, int]
    value: int
    variables: int | None
    waits: _Invocation | _Timer | _Branches | _Items | _Executions | None


class _Execution(_Row, frozen=True):
    """All of an execution but `closed`, which is empty between two decisions; `started` without the input."""

    asked: dict[int, int]
    at: int
    ending: Failure | None
    expiry: int | None
    frames: list[_Frame]
    ids: int
    ready: list[int]
    redriven_at: int | None
    redrives: int
    root: int
    started: facts.ExecutionStarted
    started_at: int
    status: Status
    tokens: tuple[tuple[str, int], ...]
    version: int


class _Head(_Row, frozen=True):
    execution: _Execution
    input: int
    variables: list[dict[str, int]]


class _Text(_Row, frozen=True):
    form: str
    head: msgspec.Raw
    values: list[Value]


ROWS: Final[dict[type, type[_Row]]] = {
    Execution: _Execution,
    Frame: _Frame,
    Evaluation: _Evaluation,
    Invocation: _Invocation,
    Timer: _Timer,
    Branches: _Branches,
    Items: _Items,
    Executions: _Executions,
}
"""The row of each class. A field that a class has and its row has not would be lost: a law looks for that."""

_encoder = msgspec.json.Encoder()
_texts = msgspec.json.Decoder(_Text)
_heads = msgspec.json.Decoder(_Head)


# --- writing ----------------------------------------------------------------------------------------------------------


def written(execution: Execution) -> bytes:
    """The text of an execution that has begun, as it is between two decisions."""
    tables = _Tables()
    row = _Execution(
        **{name: tables.told(getattr(execution, name)) for name in _Execution.__struct_fields__ if name not in _OWN},
        frames=[tables.row(frame) for frame in execution.frames.values()],
        ready=list(execution.ready),
        started=msgspec.structs.replace(execution.started, input=NULL),
    )
    head = _Head(row, tables.number(execution.started.input), tables.variables)
    return _encoder.encode(_Text(form(), msgspec.Raw(_encoder.encode(head)), tables.values))


_OWN: Final = {"frames", "ready", "started"}


class _Tables:
    """The tables that a text is made of, as they are filled: whatever is put into one is a number from then on."""

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.variables: list[dict[str, int]] = []
        self._values: dict[bytes, int] = {}
        self._variables: dict[int, int] = {}

    def number(self, value: Value) -> int:
        number = self._values.setdefault(bytes(value), len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number

    def told(self, one: Any) -> Any:
        """What a field holds, with numbers for what stands in a table."""
        if isinstance(one, Value):
            return self.number(one)
        if isinstance(one, Frame):
            return one.seq
        if isinstance(one, Variables):
            return self._set(one)
        if isinstance(one, dict):
            return {key: self.told(part) for key, part in one.items()}
        return self.row(one) if type(one) in ROWS else one

    def row(self, one: Any) -> Any:
        kind = ROWS[type(one)]
        return kind(*[
            self._outputs(one) if name == "outputs" else self.told(getattr(one, name))
            for name in kind.__struct_fields__
        ])

    def _outputs(self, waits: Branches) -> _Outputs:
        begun = waits.outputs[: waits.next]
        there = [output for output in begun if output is not None]
        missing: list[int] = []
        while len(missing) < len(begun) - len(there):
            missing.append(begun.index(None, missing[-1] + 1 if missing else 0))
        return _Outputs(self.number(Value(_encoder.encode(there))), len(waits.outputs), missing)

    def _set(self, variables: Variables) -> int | None:
        if not variables:
            return None
        if id(variables) not in self._variables:
            self._variables[id(variables)] = len(self.variables)
            self.variables.append({name: self.number(value) for name, value in variables.texts.items()})
        return self._variables[id(variables)]


# --- reading ----------------------------------------------------------------------------------------------------------


def restored(text: bytes) -> Execution | None:
    """The execution of a text; None where this is no such text, or one of another form."""
    try:
        found = _texts.decode(text)
        if found.form != form():
            return None
        head = _heads.decode(bytes(found.head))  # (a copy, as of the values: nothing keeps the whole text in memory)
        return _Restored([value.copy() for value in found.values], head).execution
    except (msgspec.MsgspecError, LookupError, ValueError):
        return None


class _Restored:
    """An execution, brought back out of the tables: all frames first, and then what refers to them."""

    def __init__(self, texts: list[Value], head: _Head) -> None:
        self._values = texts
        self._variables = [Variables({name: texts[at] for name, at in one.items()}) for one in head.variables]
        row = head.execution
        self._frames = {one.seq: Frame.__new__(Frame) for one in row.frames}
        for one in row.frames:
            self._fill(one)
        self.execution = _filled(
            Execution.__new__(Execution), row,
            asked={seq: self._frames[frame] for seq, frame in row.asked.items()},
            closed=[],
            frames=self._frames,
            ready=OrderedDict((seq, self._frames[seq]) for seq in row.ready),
            root=self._frames[row.root],
            started=msgspec.structs.replace(row.started, input=texts[head.input]),
        )

    def _fill(self, row: _Frame) -> None:
        _filled(
            self._frames[row.seq], row,
            evaluated={
                field: self._values[one] if isinstance(one, int) else one for field, one in row.evaluated.items()
            },
            evaluating=row.evaluating and _filled(Evaluation.__new__(Evaluation), row.evaluating),
            input=self._values[row.input],
            parent=None if row.parent is None else self._frames[row.parent],
            value=self._values[row.value],
            variables=NO_VARIABLES if row.variables is None else self._variables[row.variables],
            waits=self._waits(row.waits),
        )

    def _waits(self, row: Any) -> Any:
        match row:
            case _Invocation():
                receipt = None if row.receipt is None else self._values[row.receipt]
                return _filled(Invocation.__new__(Invocation), row,
                               arguments=self._values[row.arguments], receipt=receipt)
            case _Items():
                text = self._values[row.text]
                return _filled(Items.__new__(Items), row, text=text, source=values.items(text), **self._children(row))
            case _Branches():
                return _filled(Branches.__new__(Branches), row, **self._children(row))
            case _Executions():
                return _filled(Executions.__new__(Executions), row, source=self._values[row.source])
            case _Timer():
                return _filled(Timer.__new__(Timer), row)
        return None

    def _children(self, row: _Branches) -> dict[str, Any]:
        running = {index: self._frames[seq] for index, seq in row.running.items()}
        outputs: list[Value | None] = [*values.items(self._values[row.outputs.array])]
        for index in row.outputs.missing:  # (a few: they are at work, and others that began later have overtaken them)
            outputs.insert(index, None)
        outputs += [None] * (row.outputs.length - len(outputs))
        return {"outputs": outputs, "running": running}


def _filled(one: T, row: _Row, **instead: Any) -> T:
    """Give an object that its constructor never saw the fields of its row, but for what is given instead."""
    for name in {*row.__struct_fields__, *instead}:
        setattr(one, name, instead[name] if name in instead else getattr(row, name))
    return one


# --- the form ---------------------------------------------------------------------------------------------------------


@cache
def form() -> str:
    """The digest of all that an execution comes from: what its classes hold, and the code that makes them so."""
    digest = hashlib.blake2b(digest_size=16)
    for home in (limits, failures, values, template, facts, frames, fold):
        for word in _words(home, home.__name__):
            digest.update(word.encode())
    for name in (*ROWS.values(), _Outputs, _Head, _Text, _Tables, _Restored, written, restored, _filled):
        for word in _words(name, __name__):
            digest.update(word.encode())
    return digest.hexdigest()


def _words(of: object, home: str) -> Iterator[str]:
    """What a part of a module is made of, as far as it is written there; and nothing that differs by process."""
    match of:
        case str() | bytes() | int() | float() | None:
            yield f"{of!r};"
        case frozenset() | set():
            yield from sorted(repr(part) for part in of)
        case tuple() | list():
            for part in of:
                yield from _words(part, home)
        case dict():
            for key, part in of.items():
                yield from _words(key, home)
                yield from _words(part, home)
        case ModuleType() if of.__name__ == home:
            yield from _words({name: part for name, part in vars(of).items() if not name.startswith("__")}, home)
        case type() if of.__module__ == home:
            yield from _words([of.__name__, getattr(of, "__annotations__", {})], home)
            yield from _words({name: part for name, part in vars(of).items() if name != "__doc__"}, home)
        case FunctionType() if of.__module__ == home:
            around = [cell.cell_contents for cell in of.__closure__ or ()]
            around = [one for one in around if not isinstance(one, type)]  # (a method's own class, come to already)
            yield from _words([of.__code__, of.__defaults__, of.__kwdefaults__, around], home)
        case CodeType():
            yield of.co_code.hex()
            yield from _words([of.co_name, of.co_names, of.co_varnames, of.co_consts], home)
        case property():
            yield from _words(of.fget, home)
        case staticmethod() | classmethod():
            yield from _words(of.__func__, home)
        case _:
            yield f"{getattr(of, '__name__', type(of).__name__)};"
