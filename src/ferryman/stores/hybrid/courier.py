"""The courier: pushes what a synchronous transaction committed, where no event loop is at hand."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterable
from typing import Final

from ferryman.domain.errors import StoreError
from ferryman.settings import Settings
from ferryman.stores.hybrid.relay import spots_of
from ferryman.stores.hybrid.tuning import Tuning
from ferryman.stores.sql.places import Place
from ferryman.stores.valkey.lane import Lane

logger = logging.getLogger("ferryman.lane")

REST: Final = 2.0
"""Seconds without a try after one has failed: the sweep finds those jobs."""


class Courier:
    """At most one thread of its own, for as long as there is something to push."""

    def __init__(self, settings: Settings, tuning: Tuning) -> None:
        self._settings = settings
        self._limit = tuning.call_limit
        self._lock = threading.Lock()
        self._pending: list[Place] = []
        self._running = False
        self._again_at = 0.0

    def add(self, places: Iterable[Place]) -> None:
        """Push these, without waiting for it; safe in any thread."""
        with self._lock:
            if time.monotonic() < self._again_at:
                return
            self._pending += places
            if self._running or not self._pending:
                return
            self._running = True
        threading.Thread(target=self._run, name="ferryman-courier", daemon=True).start()

    def _run(self) -> None:
        while places := self._next():
            try:
                asyncio.run(self._push(places))
            except (StoreError, TimeoutError) as error:
                logger.info("some jobs were not pushed, the sweep will find them: %s", error)
                self._again_at = time.monotonic() + REST

    def _next(self) -> list[Place]:
        with self._lock:
            places, self._pending = self._pending, []
            self._running = bool(places)
        return places

    async def _push(self, places: list[Place]) -> None:
        lane = Lane(self._settings)
        try:
            async with asyncio.timeout(self._limit):
                await lane.push(spots_of(places))
        finally:
            await lane.close()
