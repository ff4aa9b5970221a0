"""ARQ."""

from typing import Any

from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import run_worker

from chaos.peers import base
from chaos.peers.base import SAFEST, VALKEY

settings = RedisSettings.from_dsn(VALKEY)


async def work(_: Any, job: str, seconds: float) -> None:
    """The job."""
    await base.awork(job, seconds)


class Settings:
    """Of a worker."""

    functions = (func(work, name="work"),)
    redis_settings = settings
    job_timeout = 10 if SAFEST else 300


class Peer(base.Peer):
    """ARQ."""

    default = "job_timeout 300 s, which a lost job waits for"
    safest = "job_timeout=10 (it ends longer jobs)"

    async def open(self) -> None:
        self._pool = await create_pool(settings)

    async def enqueue(self, job: str, seconds: float) -> Any:
        return await self._pool.enqueue_job("work", job, seconds)

    def work(self) -> None:
        run_worker(Settings)
