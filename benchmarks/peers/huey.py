"""huey on Redis."""

from typing import Any

from huey import RedisHuey

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, VARIANT, Arguments, Work, become
from benchmarks.peers.base import Peer as Base

huey = RedisHuey("bench", url=VALKEY, results=VARIANT == "results")
tasks: dict[str, Any] = {
    name: huey.task(name=name)(function) for name, function in bodies.of_kind("sync").items()
}


class Peer(Base):
    settings = (
        "RedisHuey (blocking BRPOP), no results, pickle (its only serializer); 2 threads (more are "
        "slower), 100 for jobs that wait, processes for those that burn CPU; no bulk enqueue exists"
    )
    kinds = ("sync",)

    def enqueue_now(self, task: str, arguments: Arguments) -> Any:
        return tasks[task](*arguments)

    def work(self, work: Work) -> None:
        kind = ("process", 1) if work.burns else ("thread", work.concurrency or 2)
        become(
            "-m", "huey.bin.huey_consumer", "benchmarks.peers.huey.huey", "--quiet",
            "--worker-type", kind[0], "--workers", str(kind[1]), "--no-periodic",
            "--disable-health-check", "--graceful-signal", "TERM",
        )  # fmt: skip
