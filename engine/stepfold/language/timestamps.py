"""Points in time as the language writes them: RFC 3339, with a capital T and an offset or a capital Z."""

from __future__ import annotations

import re
from datetime import datetime

_FORM = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.(?P<fraction>\d{1,9}))?)?(?:Z|[+-]\d{2}:\d{2})")


def instant(text: str) -> int | None:
    """Nanoseconds since the epoch, or None where the text is no timestamp of that form."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    fraction = found["fraction"]
    whole = text if fraction is None else text.replace(f".{fraction}", "", 1)
    try:
        seconds = int(datetime.fromisoformat(whole).timestamp())
    except ValueError:
        return None
    return seconds * 1_000_000_000 + (int(fraction.ljust(9, "0")) if fraction else 0)
