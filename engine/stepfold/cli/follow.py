"""What an execution does, told as it happens: a line a state, its functions' lines between them, and where it is.

States are read from the committed log, a few times a second. A Map of many items, or a loop that takes thousands of
steps a second, is not read but counted (`runtime/progress.py`): watching must not slow down what is watched.
"""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime

from stepfold.interpreter import facts
from stepfold.interpreter.execution import Execution
from stepfold.interpreter.facts import Event
from stepfold.interpreter.frames import Frame, Items
from stepfold.runtime import catalog
from stepfold.runtime.engine import Engine
from stepfold.runtime.progress import MapProgress, Progress, outer_frames, progress

from .screen import Screen, clean, duration, roughly

ITEMS_SHOWN = 12
"""The items of a larger Map are counted, not told."""
STATES_A_LOOK = 40
"""How many states are told of one look; the others are counted."""
STATES_AT_END = 6
"""How many are told at the end, of an execution that was too fast to be shown."""
EVENTS_A_LOOK = 2_000
"""More events than this between two looks are too fast to be shown."""
EVENTS_OF_MANY = 200
"""When more than EVENTS_A_LOOK events happened between two looks, only the first so many are told."""
RATE_SECONDS = 10.0
_INDENT = 14


class _Line:
    """A frame that is told: how deep it is, which item, and what is under way in it."""

    __slots__ = ("began", "depth", "failure", "item", "kind", "state")

    def __init__(self, depth: int, item: int | None) -> None:
        self.depth = depth
        self.item = item
        self.state = ""
        self.kind = ""
        self.began = 0
        self.failure: str | None = None

    @classmethod
    def of(cls, frame: Frame) -> _Line:
        """A frame that is there already."""
        inside = frame.parent is not None and isinstance(frame.parent.waits, Items)
        line = cls(sum(1 for _ in frame.lineage()) - 1, frame.index if inside else None)
        line.state, line.kind, line.began = frame.state, frame.kind, frame.entered_at
        return line


class Follower:
    """Tells of one execution on a screen."""

    def __init__(self, engine: Engine, arn: str, screen: Screen, *, resumed: bool = False) -> None:
        self._engine = engine
        self._arn = arn
        self._screen = screen
        self._seen = 0
        self._started = 0
        self._frames: dict[int, _Line] = {}
        self._counted: dict[int, int] = {}
        self._held: tuple[int, str] | None = None
        self._output: deque[tuple[int, str]] = deque()
        self._told = 0
        self._fast = False
        self._kept: deque[str] | None = None
        run = engine.runs.get(arn)
        if resumed and run is not None:
            self._seen, self._started = run.execution.version, run.execution.started_at
            for frame in outer_frames(run.execution, ITEMS_SHOWN):
                self._frames[frame.seq] = _Line.of(frame)

    # --- what is heard ------------------------------------------------------------------------------------------------

    def heard(self, function: str, _: str, line: str) -> None:
        """Take a line that a function wrote; it is told after the states that were entered before it."""
        run = self._engine.runs.get(self._arn)
        version = run.execution.version if run is not None else self._seen
        self._output.append((version, output_line(self._screen, function, line)))

    async def look(self) -> None:
        """Tell what happened since the last look."""
        run = self._engine.runs.get(self._arn)
        if run is None:
            return
        execution = run.execution
        large = [one for one in progress(execution).maps if one.total > ITEMS_SHOWN]
        if execution.version > self._seen and not any(one.frame in self._counted for one in large):
            await self._read(execution.version)
        if large:
            self._count(execution, large)
            self._seen = execution.version
        self._flush_output(self._seen)

    def _count(self, execution: Execution, large: list[MapProgress]) -> None:
        """See to it that these Maps are known, also where their beginning was passed over."""
        for one in large:
            if one.frame not in self._counted:
                self._counted[one.frame] = one.total
                line = self._frames[one.frame] = _Line.of(execution.frames[one.frame])
                text = self._screen.paint(f"  {one.total:,} items", "dim")
                self._screen.line(self._written(line.began, line, "▸", "cyan") + text)

    async def last_look(self) -> None:
        """Tell the rest; of what was too fast to be shown, its end."""
        if self._fast:
            self._kept = deque(maxlen=STATES_AT_END)
        await self._read(None)
        for line in self._kept or ():
            self._screen.line(line)
        while self._output:
            self._screen.line(self._output.popleft()[1])

    async def _read(self, version: int | None) -> None:
        """Tell the log's new events. Where `version`, which it comes to, is far: the first of them, and then none."""
        self._told = 0
        many = version is not None and version - self._seen > EVENTS_A_LOOK
        if version is not None and many and self._fast:
            self._seen = version
            return
        self._fast = many
        last = self._seen + EVENTS_OF_MANY if many else None
        async for event in catalog.events(self._engine.store, self._arn, self._seen):
            if last is not None and event.seq > last:
                break
            self._flush_output(event.seq - 1)
            self._seen = event.seq
            self._tell(event)
        self._release()
        if version is not None and many:
            if not self._counted:
                self._screen.line(self._screen.paint(f"{'':{_INDENT}}… too fast to show every state", "dim"))
            self._seen = version
            return
        if self._told > STATES_A_LOOK:
            more = f"{'':{_INDENT}}… {self._told - STATES_A_LOOK:,} more states"
            self._screen.line(self._screen.paint(more, "dim"))

    def _flush_output(self, version: int) -> None:
        if self._output and self._output[0][0] <= version:
            self._release()
            while self._output and self._output[0][0] <= version:
                self._screen.line(self._output.popleft()[1])

    # --- what is told -------------------------------------------------------------------------------------------------

    def _tell(self, event: Event) -> None:  # one arm a fact
        fact = event.fact
        if isinstance(fact, facts.ExecutionStarted):
            self._started = event.at
            self._frames[event.seq] = _Line(0, None)
            return
        if isinstance(fact, facts.BranchStarted | facts.IterationStarted):
            parent = self._frames.get(fact.parent)
            if parent is not None and fact.parent not in self._counted:
                item = fact.index if isinstance(fact, facts.IterationStarted) else None
                self._frames[event.seq] = _Line(parent.depth + 1, item)
            return
        frame = self._frames.get(event.frame)
        if frame is None:
            return
        match fact:
            case facts.StateEntered():
                frame.state, frame.kind, frame.began, frame.failure = fact.name, fact.kind, event.at, None
                self._hold(event, frame)
            case facts.MapStarted():
                frame.began = event.at
                if fact.length > ITEMS_SHOWN:
                    self._counted[event.frame] = fact.length
                self._add(event.frame, f"  {fact.length:,} item{'s' if fact.length != 1 else ''}")
            case facts.WaitStarted():
                self._add(event.frame, f"  until {_clock(fact.until)}")
            case facts.TaskFailed() | facts.TaskTimedOut() | facts.MapFailed() | facts.ParallelFailed():
                frame.failure = fact.error or "no error name"
            case facts.RetryScheduled():
                self._counted.pop(event.frame, None)
                why = f" ({clean(frame.failure)})" if frame.failure else ""
                wait = duration((fact.until - event.at) / 1000)
                self._say(event, frame, "↻", "yellow", f"failed{why}; tried again in {wait}")
                frame.failure = None
            case facts.StateExited():
                self._exited(event, frame, fact)
            case facts.IterationSucceeded() | facts.BranchSucceeded():
                del self._frames[event.frame]
            case _:
                pass

    def _exited(self, event: Event, frame: _Line, fact: facts.StateExited) -> None:
        if frame.kind == "Choice" and fact.next:
            self._add(event.frame, f"  → {clean(fact.next)}")
        elif frame.failure:
            self._say(event, frame, "↷", "yellow", f"failed ({clean(frame.failure)}) → {clean(fact.next or 'the end')}")
        elif (length := self._counted.pop(event.frame, None)) is not None:
            seconds = (event.at - frame.began) / 1000
            rate = f", {length / seconds:,.0f} a second" if seconds else ""
            self._say(event, frame, "✓", "green", f"{length:,} items in {duration(seconds)}{rate}")
        frame.failure = None

    def _hold(self, event: Event, frame: _Line) -> None:
        """Keep the line of a state that was entered: what follows at once may have something to add."""
        self._release()
        self._held = (event.frame, self._written(event.at, frame, "▸", "cyan"))

    def _add(self, frame: int, text: str) -> None:
        if self._held is not None and self._held[0] == frame:
            self._held = (frame, self._held[1] + self._screen.paint(text, "dim"))

    def _say(self, event: Event, frame: _Line, mark: str, colour: str, text: str) -> None:
        self._release()
        self._print(f"{self._written(event.at, frame, mark, colour)}  {self._screen.paint(text, 'dim')}")

    def _release(self) -> None:
        if self._held is not None:
            held, self._held = self._held[1], None
            self._print(held)

    def _print(self, text: str) -> None:
        if self._kept is not None:
            self._kept.append(text)
            return
        self._told += 1
        if self._told <= STATES_A_LOOK:
            self._screen.line(text)

    def _written(self, at: int, frame: _Line, mark: str, colour: str) -> str:
        paint = self._screen.paint
        after = paint(f"{(at - self._started) / 1000:8.2f} s", "dim")
        name = paint(clean(frame.state), "bold")
        item = paint(f" [{frame.item}]", "dim") if frame.item is not None else ""
        return f"{after}  {'  ' * frame.depth}{paint(mark, colour)} {name}{item}"


def output_line(screen: Screen, function: str, line: str) -> str:
    """A line that a function wrote, below the states that called it."""
    return f"{'':{_INDENT}}{screen.paint(clean(function), 'cyan')} {screen.paint('│', 'dim')} {clean(line)}"


class Whereabouts:
    """Where executions are, in one line: a Map's items, a state that is waited for."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], deque[tuple[float, int]]] = {}

    def tell(self, arn: str, found: Progress) -> str:
        """The line for one execution."""
        if found.maps:
            largest = max(found.maps, key=lambda one: one.total)
            return self._map(arn, largest)
        if not found.states:
            return "…"
        now = time.time() * 1000
        latest = max(found.states, key=lambda one: one.since)
        more = f" and {len(found.states) - 1} more" if len(found.states) > 1 else ""
        if latest.until is not None:
            return f"{clean(latest.state)}{more}  waits until {_clock(latest.until)}, {_left(latest.until, now)}"
        since = (now - latest.since) / 1000
        return f"{clean(latest.state)}{more}  " + (duration(since) if since >= 1 else f"{found.events:,} events")

    def _map(self, arn: str, one: MapProgress) -> str:
        now = time.monotonic()
        counts = self._counts.setdefault((arn, one.frame), deque())
        counts.append((now, one.done))
        while now - counts[0][0] > RATE_SECONDS:
            counts.popleft()
        (since, before) = counts[0]
        rate = (one.done - before) / (now - since) if now > since else 0.0
        text = f"{clean(one.state)}  {one.done:,} of {one.total:,} items"
        if one.total:
            text += f"  {100 * one.done // one.total} %"
        if rate > 0:
            shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
            text += f"  {shown}/s  {roughly((one.total - one.done) / rate)} left"
        return text


def _clock(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    near = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if near else "%Y-%m-%d %H:%M")


def _left(until: int, now: float) -> str:
    return f"{roughly((until - now) / 1000)} left" if until > now else "now"
