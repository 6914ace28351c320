"""A server's engine over a store that may close for writing: opened anew once the disk takes writes again.

Until then the store is left open as it is, so that everything recorded can be read.
"""

from __future__ import annotations

from typing import Final

import anyio
import structlog

from stepfold_store import Store

logger = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 1.0
"""How often a store is asked whether it takes writes."""
PAUSE_SECONDS: Final = 2.0
"""How long after a failure it is opened anew at the earliest; each further time takes twice as long."""
LONGEST_PAUSE_SECONDS: Final = 60.0


class Reopening:
    """Decides when a store is to be opened anew; `over` is set when nobody wants it any more."""

    def __init__(self, over: anyio.Event) -> None:
        self._over = over
        self._pause = PAUSE_SECONDS

    async def wanted(self, store: Store) -> bool:
        """Wait until the store should be opened anew; False where it is over before."""
        began = anyio.current_time()
        while not await self._is_over(LOOK_SECONDS):
            if (await store.health()).writable:
                if anyio.current_time() - began > LONGEST_PAUSE_SECONDS:
                    self._pause = PAUSE_SECONDS
                continue
            if await self._is_over(self._pause):
                return False
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            if await store.recovered():
                logger.warning("store_is_opened_anew")
                return True
        return False

    async def failed(self, error: Exception) -> bool:
        """It could not be opened anew: wait before the next try; False where it is over before."""
        logger.error("store_cannot_be_opened_anew", error=type(error).__name__)
        over = await self._is_over(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        return not over

    async def _is_over(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._over.wait()
        return self._over.is_set()
