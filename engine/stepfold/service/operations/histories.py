"""GetExecutionHistory: pages of what is committed, from either end.

A page's token names the last event that was told by AWS's id, so the history may grow between two pages. Events leave
out what the fold knows, so a page is told by folding: from where the page before ended if that is remembered, else
from the start. Only its own events are put into AWS's shape.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from stepfold.errors import ExecutionDoesNotExist, InvalidToken
from stepfold.insight.history import HistoryEvent, Projection
from stepfold.names import execution_arn
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
    """Some events, and the id of the last one where others follow."""

    events: list[HistoryEvent]
    last: int | None = None


async def get_execution_history(service: Served, request: shapes.GetExecutionHistoryInput) -> Answer:
    """The events of an execution; raises ExecutionDoesNotExist, InvalidArn, InvalidToken."""
    arn, backwards = execution_arn(request.executionArn), bool(request.reverseOrder)
    store, now = service.engine.store, service.engine.clock.now()
    scope = f"GetExecutionHistory {arn} {backwards}"
    seen = None if request.nextToken is None else paging.read(request.nextToken, scope, now)
    if not isinstance(seen, int | None):  # somebody made it up
        raise InvalidToken("Invalid Token: 'Invalid token'")
    entry = await store.entry(catalog.EXECUTION, arn)
    if entry is None:
        raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{arn}'")
    size = request.maxResults or paging.DEFAULT
    if backwards:
        page = await _before(store, arn, seen, size)
    else:
        page = await _after(service, entry, seen or 0, size)
    if request.includeExecutionData is False:
        for event in page.events:
            _bare(event)
    answer: dict[str, object] = {"events": page.events}
    if page.last is not None:
        answer["nextToken"] = paging.write(page.last, scope, now)
    return answer


async def _after(service: Served, entry: Entry, seen: int, size: int) -> Page:
    """The next events past an id."""
    page: list[HistoryEvent] = []
    projection, folded = Projection(), 0
    if (mark := service.bookmarks.take((entry.key, entry.started, seen))) is not None:
        projection, folded, page = mark.projection, mark.seq, [mark.ahead]
    async for event in catalog.events(service.engine.store, entry.key, folded):
        if event.id <= seen:
            projection.pass_over(event)
        elif (told := projection.tell(event)) is not None:
            if len(page) == size:
                last = page[-1]["id"]
                service.bookmarks.put((entry.key, entry.started, last), Bookmark(projection, event.seq, told))
                return Page(page, last)
            page.append(told)
    return Page(page)


async def _before(store: Store, arn: str, seen: int | None, size: int) -> Page:
    """The events before an id (None: before whatever comes next), the newest first."""
    last = await _newest(store, arn) if seen is None else seen - 1
    page: list[HistoryEvent] = []
    async for event in _told(store, arn, max(last - size, 0)):
        page.append(event)
        if event["id"] >= last:
            break
    page.reverse()
    return Page(page, page[-1]["id"] if page and page[-1]["id"] > 1 else None)


async def _told(store: Store, arn: str, seen: int) -> AsyncIterator[HistoryEvent]:
    """The committed events past an id."""
    projection = Projection()
    async for event in catalog.events(store, arn):
        if event.id <= seen:
            projection.pass_over(event)
        elif (told := projection.tell(event)) is not None:
            yield told


async def _newest(store: Store, arn: str) -> int:
    """The id of the newest committed event that AWS would tell."""
    async for records in store.read(catalog.stream_of(arn), reverse=True):
        for record in records:
            if record.last_id:
                return record.last_id
    return 0


def _bare(event: HistoryEvent) -> None:
    for name, details in event.items():
        if name.endswith("EventDetails"):
            for member in _DATA & details.keys():
                del details[member]
