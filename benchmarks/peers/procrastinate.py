"""Procrastinate on PostgreSQL, with psycopg."""

from collections.abc import Sequence
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks import bodies
from benchmarks.peers.base import DATABASE, Arguments, Work, run
from benchmarks.peers.base import Peer as Base

NAMES = ("number", "path", "user")

app = App(connector=PsycopgConnector(conninfo=DATABASE, min_size=1, max_size=20))
tasks: dict[str, Any] = {
    name: app.task(name=name)(function) for name, function in bodies.TASKS.items()
}


class Peer(Base):
    settings = "psycopg pool of 20, uvloop, concurrency 100, finished jobs kept (its default)"
    kinds = ("async", "sync")

    async def prepare(self) -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await app.open_async()

    async def close(self) -> None:
        await app.close_async()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await tasks[task].defer_async(**dict(zip(NAMES, arguments, strict=True)))

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        named = [dict(zip(NAMES, call, strict=True)) for call in calls]
        return await tasks[task].batch_defer_async(*named)

    def work(self, work: Work) -> None:
        run(self._work(1 if work.burns else work.concurrency or 100))

    async def _work(self, concurrency: int) -> None:
        async with app.open_async():
            await app.run_worker_async(concurrency=concurrency, shutdown_graceful_timeout=1)
