"""GetExecutionHistory: pages of what is committed, from either end.

A page's token names the last event that was told by its number in the log, so the history may grow between two pages.
Whoever reads on from the start is told by one fold, which goes on with each page (`bookmarks`). All others are told an
excerpt: the page's own events are read, and of those before it as many as say what these leave out. That is a few,
unless a value was handed on unchanged for long, or very many items are at work at once; what lies far back is looked
for once, not for every page (`recollections`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stepfold.errors import ExecutionDoesNotExist, InvalidToken
from stepfold.insight.excerpt import Excerpt, Recollections
from stepfold.insight.history import HistoryEvent, Projection
from stepfold.interpreter.facts import Event
from stepfold.names import execution_arn, parse_arn
from stepfold.runtime import catalog
from stepfold.service.wire import shapes
from stepfold.service.wire.protocol import Answer
from stepfold_store.contract import Entry, Store

from . import paging
from .bookmarks import Bookmark
from .served import Served

_DATA: Final = frozenset({"input", "output", "assignedVariables"})
"""What `includeExecutionData: false` leaves out; the details that say whether it was cut stay."""


class Page(NamedTuple):
    """Some events, and the number of the last one where others follow."""

    events: list[HistoryEvent]
    last: int | None = None


async def get_execution_history(service: Served, request: shapes.GetExecutionHistoryInput) -> Answer:
    """The events of an execution; raises ExecutionDoesNotExist, InvalidArn, InvalidToken."""
    arn, backwards = execution_arn(request.executionArn), bool(request.reverseOrder)
    store, now = service.engine.store, service.engine.clock.now()
    scope = f"GetExecutionHistory {arn} {backwards} by number"
    seen = None if request.nextToken is None else paging.read(request.nextToken, scope, now)
    if not isinstance(seen, int | None):  # somebody made it up
        raise InvalidToken("Invalid Token: 'Invalid token'")
    entry = await store.entry(catalog.EXECUTION, arn)
    if entry is None:
        raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
    size = request.maxResults or paging.DEFAULT
    if backwards:
        page = await _before(store, arn, seen, size, service.recollections.of(entry))
    else:
        page = await _next(service, entry, seen or 0, size)
    if request.includeExecutionData is False:
        for event in page.events:
            _bare(event)
    answer: dict[str, object] = {"events": page.events}
    if page.last is not None:
        answer["nextToken"] = paging.write(page.last, scope, now)
    return answer


async def _next(service: Served, entry: Entry, place: int, size: int) -> Page:
    """The events past number `place`."""
    if not place:
        return await _folded(service, entry, Bookmark(Projection(), 0, None), size)
    if (mark := service.bookmarks.take((entry.key, entry.started, place))) is not None:
        return await _folded(service, entry, mark, size)
    return await _after(service.engine.store, entry.key, place, size, service.recollections.of(entry))


async def _folded(service: Served, entry: Entry, mark: Bookmark, size: int) -> Page:
    """The events from a bookmark on; another one is laid at the end."""
    projection, page = mark.projection, [] if mark.ahead is None else [mark.ahead]
    last = mark.seq
    async for event in catalog.events(service.engine.store, entry.key, mark.seq):
        if (told := projection.tell(event)) is not None:
            if len(page) == size:
                service.bookmarks.put((entry.key, entry.started, last), Bookmark(projection, event.seq, told))
                return Page(page, last)
            page.append(told)
            last = event.seq
    return Page(page)


async def _after(store: Store, arn: str, place: int, size: int, known: Recollections) -> Page:
    """The events past number `place`, where nobody is known to have read up to it."""
    found: list[Event] = []
    told, last = 0, None
    async for event in catalog.events(store, arn, place):
        if event.id:
            if told == size:
                break
            told, last = told + 1, event.seq
        found.append(event)
    else:
        last = None
    excerpt = Excerpt(_region(arn), known)
    excerpt.back(reversed(found), told)
    await _look_back(excerpt, store, arn, place + 1, told)
    return Page(excerpt.told()[::-1], last)


async def _before(store: Store, arn: str, place: int | None, size: int, known: Recollections) -> Page:
    """The events before number `place` (None: before whatever comes next), the newest first."""
    excerpt = Excerpt(_region(arn), known)
    await _look_back(excerpt, store, arn, await catalog.newest(store, arn) + 1 if place is None else place, size)
    events = excerpt.told()
    return Page(events, excerpt.oldest if events and events[-1]["id"] > 1 else None)


async def _look_back(excerpt: Excerpt, store: Store, arn: str, place: int, most: int) -> None:
    """Take an excerpt back from before number `place` until it is whole."""
    if len(excerpt) < most or excerpt.wants_more:
        async for events in catalog.events_back(store, arn, place):
            excerpt.back(events, most)
            if len(excerpt) == most and not excerpt.wants_more:
                return


def _region(arn: str) -> str:
    named = parse_arn(arn)
    return "" if named is None else named.region


def _bare(event: HistoryEvent) -> None:
    for name, details in event.items():
        if name.endswith("EventDetails"):
            for member in _DATA & details.keys():
                del details[member]
