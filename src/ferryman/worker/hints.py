"""Waiting for work: a call to the store that blocks, kept apart from the loop that acts on it."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from ferryman.stores import JobStore
from ferryman.worker.outage import Outage

logger = logging.getLogger("ferryman.worker")

LONGEST_WAIT: Final = 2.0
"""Seconds after which the queues are looked at without a hint: hints may be lost."""


class HintListener:
    """Calls back when there may be work, as long as somebody wants to know."""

    def __init__(self, store: JobStore, queues: Sequence[str], arrived: Callable[[], None]) -> None:
        self._store = store
        self._queues = queues
        self._arrived = arrived
        self._wanted = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    def listen(self) -> None:
        """Call back once, when a job may be there; listening already, go on."""
        self._wanted.set()

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        outage = Outage(logger, "waiting for work")
        while await self._wanted.wait():
            try:
                await self._store.wait_for_work(self._queues, LONGEST_WAIT)
            except Exception as error:
                await asyncio.sleep(outage.failed(error))
                continue
            outage.passed()
            self._wanted.clear()
            self._arrived()
