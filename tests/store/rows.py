"""Records and reading, as the tests of the store write them."""

from stepfold_store import Record

AT = 1_700_000_000_123


def record(first, count=1, word="A"):
    events = ",".join(
        f'[{seq},{seq},{seq - 1},1,{AT},{{"type":"{word}","n":1.50}}]' for seq in range(first, first + count)
    )
    return Record(first, first + count - 1, AT, f"[{events}]".encode(), first, first + count - 1)


async def everything(store, stream, after=0, *, reverse=False):
    return [one async for some in store.read(stream, after, reverse=reverse) for one in some]


async def fate(ticket):
    """What became of an append: None, or the kind of its error."""
    try:
        await ticket
    except Exception as error:  # noqa: BLE001
        return type(error)
