"""taskiq on a Redis stream, which acknowledges what was done."""

from typing import Any

from taskiq_redis import RedisStreamBroker

from chaos.peers import base
from chaos.peers.base import SAFEST, VALKEY, become

more: dict[str, Any] = {"idle_timeout": 10_000} if SAFEST else {}
# From the start, so that what is enqueued before the first worker comes is not passed over.
broker: Any = RedisStreamBroker(VALKEY, consumer_id="0", **more)
task = broker.register_task(base.awork, task_name="work")


class Peer(base.Peer):
    """taskiq."""

    default = "idle_timeout 10 min, which a lost job waits for; 1 worker process"
    safest = "idle_timeout=10000 (it repeats longer jobs)"

    async def open(self) -> None:
        await broker.startup()

    async def enqueue(self, job: str, seconds: float) -> Any:
        return await task.kiq(job, seconds)

    def work(self) -> None:
        become(
            "taskiq", "worker", "chaos.peers.taskiq:broker", "--workers", "1",
            "--no-configure-logging",
        )  # fmt: skip
