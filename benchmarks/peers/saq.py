"""SAQ on Redis."""

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from saq import Worker
from saq.queue.redis import RedisQueue

from benchmarks import bodies
from benchmarks.peers.base import CALLERS, VALKEY, Arguments, Work, run
from benchmarks.peers.base import Peer as Base

NAMES = ("number", "path", "user")


def _queue(operations: int) -> RedisQueue:
    pool = BlockingConnectionPool.from_url(VALKEY, max_connections=operations + 300)
    return RedisQueue(Redis(connection_pool=pool), max_concurrent_ops=operations)


def _taking_context(function: Any) -> Any:
    if asyncio.iscoroutinefunction(function):

        async def called(ctx: Any, *, number: int, path: str, user: int) -> Any:
            return await function(number, path, user)

        return called

    def called_now(ctx: Any, *, number: int, path: str, user: int) -> Any:
        return function(number, path, user)

    return called_now


class Peer(Base):
    settings = (
        "RedisQueue, JSON, hiredis, uvloop, max_concurrent_ops 100 (20 is the default), "
        "concurrency 100, results kept for 600 s; no bulk enqueue: 100 calls at once"
    )
    kinds = ("async", "sync")

    async def open(self) -> None:
        self._queue = _queue(CALLERS)
        await self._queue.connect()

    async def close(self) -> None:
        await self._queue.disconnect()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._queue.enqueue(task, **dict(zip(NAMES, arguments, strict=True)))

    def work(self, work: Work) -> None:
        run(self._work(1 if work.burns else work.concurrency or 100))

    async def _work(self, concurrency: int) -> None:
        worker: Any = Worker(
            _queue(CALLERS),
            [(name, _taking_context(function)) for name, function in bodies.TASKS.items()],
            concurrency=concurrency,
        )
        await worker.queue.connect()
        await worker.start()
