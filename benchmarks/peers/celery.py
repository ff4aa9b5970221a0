"""Celery on Redis. With the variant `results` it also stores what the tasks return."""

from typing import Any

from celery import Celery

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, VARIANT, Arguments, Work, become
from benchmarks.peers.base import Peer as Base

RESULTS = VARIANT == "results"

app = Celery("bench", broker=VALKEY, backend=VALKEY if RESULTS else None)
app.conf.update(
    task_ignore_result=not RESULTS,
    task_store_errors_even_if_ignored=False,
    worker_prefetch_multiplier=16,
    broker_pool_limit=100,
    worker_hijack_root_logger=False,
)
tasks: dict[str, Any] = {
    name: app.task(name=name)(function) for name, function in bodies.of_kind("sync").items()
}


class Peer(Base):
    settings = (
        "JSON, early acknowledgement (its default), no results, prefetch 16, no gossip, mingle or "
        "heartbeat; the solo pool for jobs that take no time, 100 threads for those that wait, "
        "prefork for those that burn CPU; no bulk enqueue exists"
    )
    kinds = ("sync",)

    def enqueue_now(self, task: str, arguments: Arguments) -> Any:
        return tasks[task].apply_async(arguments)

    def work(self, work: Work) -> None:
        pool = ("solo", 1)
        if work.burns:
            pool = ("prefork", 1)
        elif work.concurrency:
            pool = ("threads", work.concurrency)
        become(
            "-m", "celery", "--quiet", "--app", "benchmarks.peers.celery:app", "worker",
            "--pool", pool[0], "--concurrency", str(pool[1]), "--loglevel", "error",
            "--without-gossip", "--without-mingle", "--without-heartbeat",
        )  # fmt: skip
