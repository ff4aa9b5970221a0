"""RQ: one job at a time in a worker, which forks for each; so there are more workers."""

from typing import Any

from redis import Redis
from rq import Queue, Retry, Worker

from chaos.peers import base
from chaos.peers.base import SAFEST, VALKEY

queue = Queue("chaos", connection=Redis.from_url(VALKEY))


class Peer(base.Peer):
    """RQ."""

    default = "9 workers, for each runs one job at a time"
    safest = "Retry(max=3), maintenance_interval=5, job_monitoring_interval=5"

    async def enqueue(self, job: str, seconds: float) -> Any:
        return queue.enqueue(base.work, job, seconds, retry=Retry(max=3) if SAFEST else None)

    def work(self) -> None:
        more: dict[str, Any] = {"maintenance_interval": 5, "job_monitoring_interval": 5}
        worker = Worker([queue], connection=queue.connection, **(more if SAFEST else {}))
        worker.work(logging_level="ERROR")
