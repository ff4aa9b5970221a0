"""RQ. It runs one job at a time in a worker, forking for each unless told not to."""

from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, Worker
from rq.serializers import JSONSerializer

from benchmarks.peers.base import VALKEY, VARIANT, Arguments, Work
from benchmarks.peers.base import Peer as Base

queue = Queue("bench", connection=Redis.from_url(VALKEY), serializer=JSONSerializer)


def _function(task: str) -> str:
    return f"benchmarks.bodies.{task}"


class Peer(Base):
    settings = (
        "SimpleWorker, which does not fork (`rq-forking`: Worker, its default), JSON, one job at "
        "a time in each worker, results kept for 500 s"
    )
    kinds = ("sync",)
    most_concurrency = 1

    def enqueue_now(self, task: str, arguments: Arguments) -> Any:
        return queue.enqueue(_function(task), *arguments)

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        return queue.enqueue_many([Queue.prepare_data(_function(task), call) for call in calls])

    def work(self, work: Work) -> None:
        forking = work.burns or VARIANT == "forking"
        kind = Worker if forking else SimpleWorker
        kind([queue], connection=queue.connection, serializer=JSONSerializer).work(
            logging_level="ERROR"
        )
