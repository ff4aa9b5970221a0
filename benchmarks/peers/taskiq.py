"""taskiq on a Redis stream, which acknowledges what was done."""

from typing import Any

from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, VARIANT, Arguments, Work, become
from benchmarks.peers.base import Peer as Base

# From the start, so that what is enqueued before the first worker comes is not passed over.
broker: Any = RedisStreamBroker(VALKEY, consumer_id="0").with_serializer(ORJSONSerializer())
if VARIANT == "results":
    broker = broker.with_result_backend(RedisAsyncResultBackend(VALKEY, result_ex_time=600))
tasks: dict[str, Any] = {
    name: broker.register_task(function, task_name=name) for name, function in bodies.TASKS.items()
}


class Peer(Base):
    settings = (
        "RedisStreamBroker, no results, orjson, uvloop, 100 async tasks at a time, prefetch 0, "
        "1 worker; no bulk enqueue: 100 calls at once"
    )
    kinds = ("async", "sync")
    own_processes = True

    async def open(self) -> None:
        await broker.startup()

    async def close(self) -> None:
        await broker.shutdown()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await tasks[task].kiq(*arguments)

    def work(self, work: Work) -> None:
        become(
            "-m", "taskiq", "worker", "benchmarks.peers.taskiq:broker", "--no-configure-logging",
            "--workers", str(work.processes), "--max-threadpool-threads", "100",
            "--max-async-tasks", str(1 if work.burns else work.concurrency or 100),
            "--shutdown-timeout", "2",
        )  # fmt: skip
