"""ARQ."""

from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, Arguments, Work, run
from benchmarks.peers.base import Peer as Base

POLL = 0.05


def _taking_context(function: Any) -> Any:
    async def called(ctx: Any, *arguments: Any) -> Any:
        return await function(*arguments)

    return called


class Peer(Base):
    settings = (
        f"hiredis, uvloop, pickle (its default), max_jobs 100, polls each {POLL} s (0.5 is the "
        "default), results kept for an hour; no bulk enqueue: 100 calls at once"
    )
    burn = "burn_async"

    async def open(self) -> None:
        self._pool = await create_pool(RedisSettings.from_dsn(VALKEY))

    async def close(self) -> None:
        await self._pool.aclose()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._pool.enqueue_job(task, *arguments)

    def work(self, work: Work) -> None:
        run(self._work(1 if work.burns else work.concurrency or 100))

    async def _work(self, most: int) -> None:
        functions = bodies.of_kind("async").items()
        worker: Any = Worker(
            [func(_taking_context(function), name=name) for name, function in functions],
            redis_settings=RedisSettings.from_dsn(VALKEY),
            max_jobs=most,
            poll_delay=POLL,
            log_results=False,
        )
        await worker.async_run()
