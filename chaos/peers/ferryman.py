"""Ferryman, with the store that the given servers make."""

from typing import Any

from chaos.peers import base
from chaos.peers.base import DATABASE, VALKEY
from ferryman import Ferryman

app = Ferryman(database_url=DATABASE or None, valkey_url=VALKEY or None)
task = app.task(name="work")(base.awork)


class Peer(base.Peer):
    """Ferryman."""

    default = "ferryman worker; lease 10 s"

    async def prepare(self) -> None:
        if DATABASE:
            import asyncio

            from ferryman.stores.sql.migrations import upgrade

            await asyncio.to_thread(upgrade, DATABASE)

    async def enqueue(self, job: str, seconds: float) -> Any:
        return await task.aenqueue(job, seconds)

    def work(self) -> None:
        from ferryman.worker.options import WorkerOptions
        from ferryman.worker.supervisor import run

        run("chaos.peers.ferryman:app", WorkerOptions(log_level="error", grace=1))
