"""Chancy on PostgreSQL, with psycopg."""

from collections.abc import Sequence
from typing import Any

from chancy import Chancy, Job, Queue, Worker

from benchmarks import bodies
from benchmarks.peers.base import DATABASE, Arguments, Work, run
from benchmarks.peers.base import Peer as Base

NAMES = ("number", "path", "user")
JOBS: dict[str, Any] = {
    name: Job.from_func(function, queue="bench") for name, function in bodies.TASKS.items()
}


def _chancy() -> Any:
    return Chancy(DATABASE, max_connection_pool_size=20)


class Peer(Base):
    settings = (
        "psycopg pool of 20, uvloop, async executor, concurrency 100, eager polling (process "
        "executor for jobs that burn CPU), finished jobs kept until its pruner comes"
    )

    async def prepare(self) -> None:
        async with _chancy() as chancy:
            await chancy.migrate()

    async def open(self) -> None:
        self._chancy = _chancy()
        await self._chancy.pool.open()

    async def close(self) -> None:
        await self._chancy.pool.close()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._chancy.push(self._job(task, arguments))

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        async for _ in self._chancy.push_many([self._job(task, call) for call in calls]):
            pass

    def _job(self, task: str, arguments: Arguments) -> Any:
        return JOBS[task].with_kwargs(**dict(zip(NAMES, arguments, strict=True)))

    def work(self, work: Work) -> None:
        run(self._work(work))

    async def _work(self, work: Work) -> None:
        executor = Chancy.Executor.Process if work.burns else Chancy.Executor.Async
        most = 1 if work.burns else work.concurrency or 100
        queue = Queue(
            "bench", concurrency=most, executor=executor, eager_polling=True, polling_interval=1
        )
        async with _chancy() as chancy:
            await chancy.declare(queue, upsert=True)
            async with Worker(chancy) as worker:
                await worker.wait_for_shutdown()
