"""Oban for Python on PostgreSQL."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

from oban import Oban, worker
from oban.schema import install

from benchmarks import bodies
from benchmarks.peers.base import DATABASE, Arguments, Work, run
from benchmarks.peers.base import Peer as Base

NAMES = ("number", "path", "user")


def _worker(name: str, function: Any) -> Any:
    async def process(self: Any, job: Any) -> None:
        await function(**job.args)

    return worker(queue="default")(type(name, (), {"process": process}))


workers = {name: _worker(name, function) for name, function in bodies.of_kind("async").items()}


class Peer(Base):
    settings = "psycopg pool of 20, uvloop, orjson; queue limit 100, completed jobs kept for a day"
    burn = "burn_async"

    async def prepare(self) -> None:
        pool = await Oban.create_pool(DATABASE)
        await install(pool)
        await pool.close()

    async def open(self) -> None:
        self._pool = await Oban.create_pool(DATABASE, min_size=1, max_size=20)
        self._oban = Oban(pool=self._pool)

    async def close(self) -> None:
        await self._pool.close()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._oban.enqueue(self._job(task, arguments))

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        return await self._oban.enqueue_many([self._job(task, call) for call in calls])

    def _job(self, task: str, arguments: Arguments) -> Any:
        return workers[task].new(dict(zip(NAMES, arguments, strict=True)))

    def work(self, work: Work) -> None:
        run(self._work(1 if work.burns else work.concurrency or 100))

    async def _work(self, limit: int) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        pool = await Oban.create_pool(DATABASE, min_size=1, max_size=20)
        async with Oban(pool=pool, queues={"default": limit}, shutdown_grace_period=1.0):
            await stop.wait()
        await pool.close()
