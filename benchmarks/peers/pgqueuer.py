"""PgQueuer on PostgreSQL, with asyncpg."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

import asyncpg
from pgqueuer import QueueManager
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pydantic_core import from_json, to_json

from benchmarks import bodies
from benchmarks.peers.base import DATABASE, Arguments, Work, run
from benchmarks.peers.base import Peer as Base


def _entrypoint(function: Any) -> Any:
    async def called(job: Job) -> None:
        await function(*from_json(job.payload or b"[]"))

    return called


async def _keep(connection: Any) -> None:
    """What the pool does with a connection that comes back: nothing, which saves a statement."""


class Peer(Base):
    settings = (
        "asyncpg, uvloop, pool of 20 without resets, durable tables, batches of 300 and no cap on "
        "concurrency for jobs that take no time; at most 100 at a time (batches of 50) for those "
        "that wait"
    )

    burn = "burn_async"

    async def prepare(self) -> None:
        connection = await asyncpg.connect(DATABASE)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(DATABASE, min_size=1, max_size=20, reset=_keep)
        self._queries = Queries(AsyncpgPoolDriver(self._pool))

    async def close(self) -> None:
        await self._pool.close()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._queries.enqueue(task, to_json(arguments))

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        return await self._queries.enqueue(
            [task] * len(calls), [to_json(call) for call in calls], [0] * len(calls)
        )

    def work(self, work: Work) -> None:
        run(self._work(2 if work.burns else work.concurrency))

    async def _work(self, concurrency: int) -> None:
        manager: Any = QueueManager(Queries(AsyncpgDriver(await asyncpg.connect(DATABASE))))
        for name, function in bodies.of_kind("async").items():
            manager.entrypoint(name)(_entrypoint(function))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.shutdown.set)
        await manager.run(
            batch_size=concurrency // 2 or 300, max_concurrent_tasks=concurrency or None
        )
