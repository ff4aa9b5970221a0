"""Ferryman, with the store that the given servers make: Valkey, SQL, or both."""

from collections.abc import Sequence
from typing import Any

from benchmarks import bodies
from benchmarks.peers.base import DATABASE, VALKEY, Arguments, Work
from benchmarks.peers.base import Peer as Base
from ferryman import Ferryman

app = Ferryman(database_url=DATABASE or None, valkey_url=VALKEY or None)
for _name, _function in bodies.TASKS.items():
    app.task(name=_name)(_function)
app.task(name="burn_isolated", isolation="process")(bodies.burn_sync)

_SLOTS = 400 if DATABASE else 100
"""For jobs that take no time: what a transaction costs is shared by as many as end together."""


class Peer(Base):
    settings = (
        f"ferryman worker --concurrency {_SLOTS}, all else as it comes: JSON, results and events "
        "kept for a day"
    )
    kinds = ("async", "sync")
    burn = "burn_isolated"
    own_processes = True

    async def prepare(self) -> None:
        if DATABASE:
            import asyncio

            from ferryman.stores.sql.migrations import upgrade

            await asyncio.to_thread(upgrade, DATABASE)

    async def open(self) -> None:
        self._tasks = {name: app.named(name) for name in app.tasks}

    async def close(self) -> None:
        await app.aclose()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._tasks[task].aenqueue(*arguments)

    def enqueue_now(self, task: str, arguments: Arguments) -> Any:
        return self._tasks[task].enqueue(*arguments)

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        return await self._tasks[task].aenqueue_many(calls)

    def work(self, work: Work) -> None:
        from ferryman.worker.options import WorkerOptions
        from ferryman.worker.supervisor import run

        options = WorkerOptions(
            concurrency=work.processes if work.burns else work.concurrency or _SLOTS,
            processes=1 if work.burns else work.processes,
            log_level="error",
            grace=1,
        )
        run("benchmarks.peers.ferryman:app", options)
