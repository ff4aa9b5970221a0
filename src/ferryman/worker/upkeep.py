"""What any worker does for all: queue due jobs, fail expired, send back stalled ones, prune."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from ferryman.settings import Settings
from ferryman.stores import JobStore
from ferryman.worker.outage import Outage

logger = logging.getLogger("ferryman.upkeep")

BATCH: Final = 1000
PRUNE_EVERY: Final = 30.0
SHORTEST: Final = 0.01
"""Seconds that the promoter rests at least, however near the next job is due."""


class Upkeep:
    """Loops over one store; safe in any number of processes at once."""

    def __init__(self, store: JobStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._prune_at = 0.0
        self._reap_at = 0.0

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat("queueing due jobs", self._promote))
            group.create_task(self._repeat("sending back stalled jobs", self._sweep))

    async def _repeat(self, what: str, step: Callable[[], Awaitable[float]]) -> None:
        outage = Outage(logger, what)
        while True:
            try:
                wait = await step()
                outage.passed()
            except Exception as error:
                wait = outage.failed(error)
                # Every lease may be over by then. Those who lived through it hand back at no
                # charge, given a moment; what a reaper sends back is charged a kill.
                self._reap_at = time.monotonic() + wait + self._settings.lease
            await asyncio.sleep(wait)

    async def _promote(self) -> float:
        moved, next_due = await self._store.promote(BATCH)
        if moved >= BATCH:
            return 0.0
        sweep = self._jittered(self._settings.sweep)
        return sweep if next_due is None else max(SHORTEST, min(sweep, next_due))

    async def _sweep(self) -> float:
        reaped = await self._reap() if time.monotonic() >= self._reap_at else 0
        expired = await self._store.expire(BATCH)
        pruned = await self._prune() if time.monotonic() >= self._prune_at else 0
        if BATCH in (reaped, expired, pruned):
            return 0.0
        return self._jittered(self._settings.sweep)

    async def _reap(self) -> int:
        reaped = await self._store.reap(BATCH)
        if reaped:
            logger.warning("sent back %d jobs of workers whose lease was over", len(reaped))
        return len(reaped)

    async def _prune(self) -> int:
        pruned = await self._store.prune(
            dead_letter_ttl=self._settings.dead_letter_ttl,
            max_history=self._settings.max_history,
            limit=BATCH,
        )
        if pruned < BATCH:
            self._prune_at = time.monotonic() + self._jittered(PRUNE_EVERY)
        return pruned

    @staticmethod
    def _jittered(seconds: float) -> float:
        return seconds * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, guards nothing
