"""A part of a history, told without a fold of all that was before: what its events leave out is looked for backwards.

The events are gone over from the newest of the part back to its oldest, and on until nothing is missing any more: as a
rule, until each frame at work there last gave or took a value. What lay far back is remembered (`Recollections`), so
that the pages before and after this one need not go there again. That this tells what the fold tells is a law of the
tests; which event gives a frame its value is a matter of `interpreter.execution`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import nlargest
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import UNSET

from stepfold.interpreter import facts
from stepfold.interpreter.facts import Event
from stepfold.language.resources import parse_resource
from stepfold.query import values

from .history import HistoryEvent, Seen, tell

FAR: Final = 1_000
"""What lay more events back than this is remembered."""
KEPT: Final = 32
"""So many things are remembered of an execution, those asked for last."""
NOTED: Final = 8
"""And so many of one part, those that were farthest to seek: what all share, and not what each of many items is."""

What: TypeAlias = Literal["value", "input", "revived", "state", "task", "place", "items"]
"""What is looked for, of a frame, as it was before some event: its latest value; the one it had when it entered its
state; the one it would have after a redrive; name and type of its state; the resource of its task; its parent's state
and its index there; the items of its Map."""
Key: TypeAlias = tuple[What, int]


class Cell:
    """Something that is looked for; called, once all was found, it says what it is."""

    __slots__ = ("find", "found")

    def __init__(self, find: Callable[[], Any] | None = None) -> None:
        self.find = find
        self.found: Any = None

    def is_what(self, find: Callable[[], Any]) -> None:
        """Found: it is what this comes to, which is not asked before the end."""
        self.find = find

    def __call__(self) -> Any:
        """What was found; a long row of cells, each of which is what the next one is, is no deep recursion."""
        if self.find is None:
            return self.found
        trail, last = [self], self
        while isinstance(last.find, Cell):
            last = last.find
            trail.append(last)
        found = last.found if last.find is None else last.find()
        for cell in trail:
            cell.found, cell.find = found, None
        return found


class _Sought(NamedTuple):
    """What is looked for since event `since`: none from there back to where the walk has come says otherwise."""

    since: int
    cell: Cell


class _Recollection(NamedTuple):
    """What event `at` said, and none after it up to event `since` says otherwise."""

    at: int
    since: int
    cell: Cell


class Recollections:
    """What was found far back in one log. It is never out of date: what is committed does not change."""

    def __init__(self) -> None:
        self._kept: dict[Key, _Recollection] = {}

    def note(self, key: Key, one: _Recollection) -> None:
        """Remember it, for whoever looks for the same from event `since`, or from one between the two."""
        one.cell()
        self._kept.pop(key, None)
        self._kept[key] = one
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]

    def before(self, key: Key, seq: int) -> _Recollection | None:
        """What is known of a frame as it was before event `seq`."""
        kept = self._kept.get(key)
        if kept is None or not kept.at < seq <= kept.since:
            return None
        self._kept[key] = self._kept.pop(key)
        return kept


class _Joined(NamedTuple):
    """What is looked for is the outputs of a frame's children, which event `at` joined."""

    at: int
    sought: _Sought
    parts: dict[int, Cell]


class _Told(NamedTuple):
    event: Event
    value: Cell
    state: Cell
    place: Cell
    task: Cell


class Excerpt:
    """Goes over events, the newest first, and tells some of them. `region` is the execution's."""

    def __init__(self, region: str, known: Recollections) -> None:
        self._region = region
        self._known = known
        self._seq = 0
        self._sought: dict[int, dict[What, _Sought]] = {}
        self._joined: dict[int, _Joined] = {}
        self._ends: dict[int, Cell] = {}
        self._far: list[tuple[int, Key, _Recollection]] = []
        self._told: list[_Told] = []

    def __len__(self) -> int:
        """How many events it will tell."""
        return len(self._told)

    @property
    def oldest(self) -> int:
        """The number of the oldest of them."""
        return self._told[-1].event.seq

    @property
    def wants_more(self) -> bool:
        """Whether something is missing that an earlier event says."""
        return bool(self._sought or self._joined)

    def back(self, events: Iterable[Event], most: int) -> None:
        """Go over the events right before those of the last time, newest first; tell no more than `most` in all."""
        for event in events:
            self._seq = event.seq
            kind = type(event.fact)
            concerns = event.frame in self._sought or self._joined or kind is facts.ExecutionRedriven
            if concerns and (says := _SAYS.get(kind)) is not None:
                says(self, event, event.fact)
            if len(self._told) < most:
                if event.id:
                    self._told.append(self._of(event))
            elif not self.wants_more:
                break
        self._recall()

    def told(self) -> list[HistoryEvent]:
        """The events as AWS has them, the newest first; once nothing is missing any more."""
        for _, key, one in nlargest(NOTED, self._far, key=itemgetter(0)):
            self._known.note(key, one)
        return [
            tell(event, Seen(value(), state()[1], place(), task(), self._region))
            for event, value, state, place, task in self._told
        ]

    # --- what an event is told from -----------------------------------------------------------------------------------

    def _of(self, event: Event) -> _Told:
        """An event, and what it leaves out, which is looked for from here on."""
        fact, frame = event.fact, event.frame
        kind = type(fact)
        value, state, place, task = _NO_VALUE, _NO_STATE, _NO_PLACE, _NO_TASK
        if kind in _VALUES:
            own = getattr(fact, fact.carries) if fact.carries else UNSET
            value = self.seek("value", frame) if own is UNSET else Cell(lambda: own)
        if kind in _IN_STATES:
            state = self.seek("state", frame)
        elif isinstance(fact, facts.TaskScheduled):
            task = _task(fact)
        elif kind in _IN_TASKS:
            task = self.seek("task", frame)
        elif isinstance(fact, facts.IterationStarted):
            place = self.place(fact)
        elif kind in _OF_ITEMS:
            place = self.seek("place", frame)
        return _Told(event, value, state, place, task)

    def place(self, fact: facts.IterationStarted | facts.BranchStarted) -> Cell:
        """Where a frame is that this opened."""
        state, index = self.seek("state", fact.parent), fact.index
        return Cell(lambda: (state()[0], index))

    # --- looking for it -----------------------------------------------------------------------------------------------

    def seek(self, what: What, frame: int) -> Cell:
        """What there was before the event that is gone over."""
        if (known := self._known.before((what, frame), self._seq)) is not None:
            return known.cell
        of = self._sought.setdefault(frame, {})
        if (sought := of.get(what)) is None:
            sought = of[what] = _Sought(self._seq, Cell())
        return sought.cell

    def seeks(self, what: What, frame: int) -> bool:
        """Whether it is looked for."""
        return what in self._sought.get(frame, ())

    def find(self, what: What, frame: int, find: Callable[[], Any]) -> None:
        """The event that is gone over says what was looked for."""
        if (sought := self._taken(what, frame)) is not None:
            self._settle((what, frame), self._seq, sought, Cell(find))

    def look_on(self, what: What, frame: int, for_: What, of: int) -> None:
        """What was looked for is, before the event that is gone over, something else."""
        if (sought := self._taken(what, frame)) is not None:
            self._settle((what, frame), self._seq, sought, self.seek(for_, of))

    def revive(self) -> None:
        """Over a redrive: what each frame's value is after it depends on how far the frame had come in its state."""
        for frame in list(self._sought):
            self.look_on("value", frame, "revived", frame)

    def _taken(self, what: What, frame: int) -> _Sought | None:
        of = self._sought.get(frame)
        if of is None or (sought := of.pop(what, None)) is None:
            return None
        if not of:
            del self._sought[frame]
        return sought

    def _settle(self, key: Key, at: int, sought: _Sought, answer: Cell) -> None:
        sought.cell.is_what(answer)
        if (distance := sought.since - min(at, self._seq)) > FAR:
            self._far.append((distance, key, _Recollection(at, sought.since, answer)))

    def _recall(self) -> None:
        """Whether what is still missing is known from another time."""
        for frame, of in list(self._sought.items()):
            for what in list(of):
                known = self._known.before((what, frame), self._seq)
                if known is not None and (sought := self._taken(what, frame)) is not None:
                    self._settle((what, frame), known.at, sought, known.cell)

    # --- values that are joined ---------------------------------------------------------------------------------------

    def join(self, frame: int) -> None:
        """The frame's value is its children's: of those that end before, the ends are looked for."""
        if (sought := self._taken("value", frame)) is not None:
            self._joined[frame] = _Joined(self._seq, sought, {})

    def end(self, frame: int) -> None:
        """A child ends; whose it is, is known where it begins."""
        if self._joined:
            self._ends[frame] = self.seek("value", frame)

    def begin(self, frame: int, fact: facts.IterationStarted | facts.BranchStarted) -> None:
        """It begins."""
        cell, joined = self._ends.pop(frame, None), self._joined.get(fact.parent)
        if cell is not None and joined is not None:
            joined.parts[fact.index] = cell

    def joined(self, frame: int, find: Callable[[], Any] | None = None) -> None:
        """All children have been seen; or there were none, and a map run's end said the value."""
        if (joined := self._joined.pop(frame, None)) is not None:
            parts = joined.parts
            find = find or (lambda: values.join([cell() for _, cell in sorted(parts.items())]))
            self._settle(("value", frame), joined.at, joined.sought, Cell(find))


def _task(fact: facts.TaskScheduled) -> Cell:
    return Cell(lambda: parse_resource(fact.resource))


_NO_VALUE: Final = Cell(lambda: values.NULL)
_NO_STATE: Final = Cell(lambda: ("", ""))
_NO_PLACE: Final = Cell(lambda: ("", 0))
_NO_TASK: Final = Cell(lambda: None)

_VALUES: Final = {facts.StateEntered, facts.StateExited, facts.TaskScheduled, facts.ExecutionSucceeded}
_IN_STATES: Final = {facts.StateExited, facts.StateAborted}
_IN_TASKS: Final = {
    facts.TaskStarted, facts.TaskSubmitted, facts.TaskSucceeded, facts.TaskFailed, facts.TaskTimedOut,
}
_OF_ITEMS: Final = {facts.IterationSucceeded, facts.IterationFailed, facts.IterationAborted}


# --- one function a fact: what it says of its frame, as it is after it ------------------------------------------------


def _opened(excerpt: Excerpt, frame: int) -> None:
    excerpt.look_on("revived", frame, "value", frame)
    excerpt.find("state", frame, lambda: ("", ""))


def _started(excerpt: Excerpt, event: Event, fact: facts.ExecutionStarted) -> None:
    _opened(excerpt, event.frame)
    excerpt.find("value", event.frame, fact.input.copy)


def _branched(excerpt: Excerpt, event: Event, fact: facts.BranchStarted) -> None:
    excerpt.begin(event.frame, fact)
    _opened(excerpt, event.frame)
    excerpt.look_on("value", event.frame, "value", fact.parent)


def _iterated(excerpt: Excerpt, event: Event, fact: facts.IterationStarted) -> None:
    frame, index, given = event.frame, fact.index, fact.input
    excerpt.begin(frame, fact)
    _opened(excerpt, frame)
    if excerpt.seeks("place", frame):
        excerpt.find("place", frame, excerpt.place(fact))
    if given is not UNSET:
        excerpt.find("value", frame, given.copy)
    elif excerpt.seeks("value", frame):
        items = excerpt.seek("items", fact.parent)
        excerpt.find("value", frame, lambda: items()[index])


def _entered(excerpt: Excerpt, event: Event, fact: facts.StateEntered) -> None:
    frame, given, state = event.frame, fact.input, (fact.name, fact.kind)
    excerpt.find("state", frame, lambda: state)
    excerpt.look_on("revived", frame, "value", frame)
    excerpt.look_on("input", frame, "value", frame)
    if given is not UNSET:
        excerpt.find("value", frame, given.copy)


def _exited(excerpt: Excerpt, event: Event, fact: facts.StateExited) -> None:
    frame, made = event.frame, fact.output
    excerpt.look_on("revived", frame, "value", frame)
    if made is not UNSET:
        excerpt.find("value", frame, made.copy)


def _scheduled(excerpt: Excerpt, event: Event, fact: facts.TaskScheduled) -> None:
    excerpt.find("task", event.frame, _task(fact))


def _succeeded(excerpt: Excerpt, event: Event, fact: facts.TaskSucceeded | facts.MapRunSucceeded) -> None:
    frame, output = event.frame, fact.output
    excerpt.look_on("revived", frame, "input", frame)
    excerpt.find("value", frame, output.copy)
    excerpt.joined(frame, output.copy)


def _retried(excerpt: Excerpt, event: Event, _: facts.RetryScheduled) -> None:
    excerpt.look_on("revived", event.frame, "input", event.frame)
    excerpt.look_on("value", event.frame, "input", event.frame)


def _gathered(excerpt: Excerpt, event: Event, _: facts.ParallelSucceeded | facts.MapSucceeded) -> None:
    excerpt.look_on("revived", event.frame, "input", event.frame)
    excerpt.join(event.frame)


def _forked(excerpt: Excerpt, event: Event, fact: facts.ParallelStarted) -> None:
    frame, given = event.frame, fact.input
    excerpt.joined(frame)
    excerpt.look_on("revived", frame, "value", frame)
    if given is not UNSET:
        excerpt.find("value", frame, given.copy)


def _mapped(excerpt: Excerpt, event: Event, fact: facts.MapStarted) -> None:
    frame, items = event.frame, fact.items
    excerpt.joined(frame)
    excerpt.look_on("revived", frame, "value", frame)
    if excerpt.seeks("items", frame):
        source = excerpt.seek("value", frame) if items is UNSET else Cell(lambda: items)
        excerpt.find("items", frame, lambda: values.items(source().copy()))


def _ended(excerpt: Excerpt, event: Event, _: facts.BranchSucceeded | facts.IterationSucceeded) -> None:
    excerpt.end(event.frame)


def _redriven(excerpt: Excerpt, _event: Event, _fact: facts.ExecutionRedriven) -> None:
    excerpt.revive()


_SAYS: Final[dict[type, Callable[[Excerpt, Event, Any], None]]] = {
    facts.ExecutionStarted: _started,
    facts.ExecutionRedriven: _redriven,
    facts.StateEntered: _entered,
    facts.StateExited: _exited,
    facts.RetryScheduled: _retried,
    facts.TaskScheduled: _scheduled,
    facts.TaskSucceeded: _succeeded,
    facts.ParallelStarted: _forked,
    facts.BranchStarted: _branched,
    facts.BranchSucceeded: _ended,
    facts.ParallelSucceeded: _gathered,
    facts.MapStarted: _mapped,
    facts.IterationStarted: _iterated,
    facts.IterationSucceeded: _ended,
    facts.MapSucceeded: _gathered,
    facts.MapRunSucceeded: _succeeded,
}
