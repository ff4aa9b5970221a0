"""BullMQ for Python."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

from bullmq import Queue, Worker

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, Arguments, Work, run
from benchmarks.peers.base import Peer as Base


async def _process(job: Any, token: str) -> Any:
    return await bodies.TASKS[job.name](*job.data["arguments"])


class Peer(Base):
    settings = "hiredis, uvloop, JSON, concurrency 100, finished jobs kept (its default)"
    burn = "burn_async"

    async def open(self) -> None:
        self._queue = Queue("bench", {"connection": VALKEY})

    async def close(self) -> None:
        await self._queue.close()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._queue.add(task, {"arguments": arguments})

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        return await self._queue.addBulk(
            [{"name": task, "data": {"arguments": call}} for call in calls]
        )

    def work(self, work: Work) -> None:
        run(self._work(1 if work.burns else work.concurrency or 100))

    async def _work(self, concurrency: int) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        worker = Worker("bench", _process, {"connection": VALKEY, "concurrency": concurrency})
        await stop.wait()
        await worker.close(force=True)
