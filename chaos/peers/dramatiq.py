"""dramatiq on Redis."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from chaos.peers import base
from chaos.peers.base import SAFEST, VALKEY, become

more: dict[str, Any] = {"heartbeat_timeout": 10_000, "maintenance_chance": 100_000}
broker = RedisBroker(url=VALKEY, **(more if SAFEST else {}))
dramatiq.set_broker(broker)
actor: Any = dramatiq.actor(base.work, actor_name="work")


class Peer(base.Peer):
    """dramatiq."""

    default = "1 process, 8 threads, heartbeat_timeout 60 s, looked after by chance"
    safest = "heartbeat_timeout=10000, maintenance_chance=100000"

    async def enqueue(self, job: str, seconds: float) -> Any:
        return actor.send(job, seconds)

    def work(self) -> None:
        become(
            "dramatiq", "chaos.peers.dramatiq:broker", "--skip-logging", "--processes", "1"
        )  # fmt: skip
