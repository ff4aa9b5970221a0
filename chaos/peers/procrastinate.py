"""Procrastinate on PostgreSQL, with psycopg."""

import asyncio
from typing import Any

from procrastinate import App, PsycopgConnector

from chaos.peers import base
from chaos.peers.base import DATABASE, SAFEST

app = App(connector=PsycopgConnector(conninfo=DATABASE, min_size=1, max_size=6))
task = app.task(name="work")(base.awork)


async def again(context: Any, timestamp: int) -> None:
    """What its documentation shows: retry what the workers that died have left."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=10):
        await app.job_manager.retry_job(job)


if SAFEST:
    retrying = app.task(name="again", queueing_lock="again", pass_context=True)(again)
    app.periodic(cron="*/5 * * * * *")(retrying)


class Peer(base.Peer):
    """Procrastinate."""

    default = "concurrency 8; nothing retries a lost job"
    safest = "a periodic task retries stalled jobs every 5 s, heartbeats of 2 s, stalled after 10 s"

    async def prepare(self) -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await app.open_async()

    async def enqueue(self, job: str, seconds: float) -> Any:
        return await task.defer_async(job=job, seconds=seconds)

    def work(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        more: dict[str, Any] = {"update_heartbeat_interval": 2.0, "stalled_worker_timeout": 10.0}
        async with app.open_async():
            await app.run_worker_async(concurrency=8, **(more if SAFEST else {}))
