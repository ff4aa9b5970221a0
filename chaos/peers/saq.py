"""SAQ on Redis."""

import asyncio
from typing import Any

from saq import Queue, Worker

from chaos.peers import base
from chaos.peers.base import SAFEST, VALKEY


async def work(_: Any, *, job: str, seconds: float) -> None:
    """The job."""
    await base.awork(job, seconds)


class Peer(base.Peer):
    """SAQ."""

    default = "timeout 10 s, retries=1: a lost job is aborted"
    safest = "retries=10, sweep every 2 s (timeout 10 s as it comes)"

    async def open(self) -> None:
        self._queue = Queue.from_url(VALKEY)
        await self._queue.connect()

    async def enqueue(self, job: str, seconds: float) -> Any:
        more = {"retries": 10} if SAFEST else {}
        return await self._queue.enqueue("work", job=job, seconds=seconds, **more)

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        queue = Queue.from_url(VALKEY)
        await queue.connect()
        timers: Any = {"sweep": 2} if SAFEST else None
        await Worker(queue, [("work", work)], timers=timers).start()
