"""dramatiq on Redis. With the variant `results` it also stores what the actors return."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, VARIANT, Arguments, Work, become
from benchmarks.peers.base import Peer as Base

broker = RedisBroker(url=VALKEY)
broker.add_middleware(AsyncIO())
if VARIANT == "results":
    broker.add_middleware(Results(backend=RedisBackend(url=VALKEY)))
dramatiq.set_broker(broker)
actors: dict[str, Any] = {
    name: dramatiq.actor(
        function, actor_name=name, **({"store_results": True} if VARIANT == "results" else {})
    )
    for name, function in bodies.TASKS.items()
}


class Peer(Base):
    settings = (
        "RedisBroker, JSON, default middleware; 24 threads (8 is the default, and slower), "
        "100 threads for jobs that wait; no bulk enqueue exists"
    )
    kinds = ("sync", "async")
    own_processes = True

    def enqueue_now(self, task: str, arguments: Arguments) -> Any:
        return actors[task].send(*arguments)

    def work(self, work: Work) -> None:
        threads = 1 if work.burns else work.concurrency or 24
        become(
            "-m", "dramatiq", "benchmarks.peers.dramatiq:broker", "--skip-logging",
            "--processes", str(work.processes), "--threads", str(threads),
            "--worker-shutdown-timeout", "2000",
        )  # fmt: skip
