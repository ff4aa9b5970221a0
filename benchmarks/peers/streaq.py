"""streaq."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from streaq import Worker

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, Arguments, Work
from benchmarks.peers.base import Peer as Base


def _worker(concurrency: int) -> Any:
    return Worker(
        redis_url=VALKEY,
        concurrency=concurrency,
        sync_concurrency=concurrency,
        anyio_kwargs={"use_uvloop": True},
    )


def _tasks(worker: Any) -> dict[str, Any]:
    return {
        name: worker.task(name=name, silent=True)(function)
        for name, function in bodies.TASKS.items()
    }


class Peer(Base):
    settings = (
        "coredis, uvloop, pickle (its default), concurrency 100, prefetch as it comes, results "
        "kept for 5 min"
    )
    kinds = ("async", "sync")

    async def open(self) -> None:
        self._worker = _worker(100)
        self._tasks = _tasks(self._worker)
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(self._worker)

    async def close(self) -> None:
        await self._stack.aclose()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._tasks[task].enqueue(*arguments)

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        await self._worker.enqueue_many([self._tasks[task].enqueue(*call) for call in calls])

    def work(self, work: Work) -> None:
        worker = _worker(1 if work.burns else work.concurrency or 100)
        _tasks(worker)
        worker.run_sync()
