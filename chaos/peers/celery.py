"""Celery on Redis, with a prefork pool of four."""

import os
from typing import Any

from celery import Celery

from chaos.peers import base
from chaos.peers.base import SAFEST, VALKEY, become

app = Celery("chaos", broker=VALKEY)
if SAFEST:
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={"visibility_timeout": 20},
    )
task = app.task(name="work")(base.work)


class Peer(base.Peer):
    """Celery."""

    default = "early acknowledgement, prefork pool of 4"
    safest = (
        "acks_late, reject_on_worker_lost, prefetch 1, visibility_timeout 20 s (it repeats longer "
        "jobs)"
    )

    async def enqueue(self, job: str, seconds: float) -> Any:
        return task.apply_async((job, seconds))

    def work(self) -> None:
        become(
            "celery", "--quiet", "--app", "chaos.peers.celery:app", "worker",
            "--concurrency", "4", "--loglevel", "error", "--hostname", f"w{os.getpid()}@%h",
        )  # fmt: skip
