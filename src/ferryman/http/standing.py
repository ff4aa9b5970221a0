"""How it stands: the store, the lane, the workers; which promise holds now."""

import asyncio
import time
from datetime import datetime
from typing import Final, Literal

import msgspec

from ferryman.client.checkup import PROMISES
from ferryman.domain.errors import StoreError
from ferryman.domain.job import QueueInfo, WorkerStatus
from ferryman.domain.states import JobState
from ferryman.http.service import Service

PATIENCE: Final = 2.0
"""Seconds that the store may take to answer before it counts as away."""


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process.

    Attributes:
        heartbeat_age: seconds since its lease was renewed the last time.
        claim_age: seconds since a claim of it was answered; null if none was. It grows while all
            of its slots are taken.
    """

    name: str
    live: bool
    slots: int
    running: int
    heartbeat_age: float | None
    claim_age: float | None
    degraded: bool


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether jobs can be taken in and run now.

    Attributes:
        status: `degraded` is: everything works, without the lane.
        round_trip: seconds that the store took to answer; null where it did not.
        lane: whether this service uses the lane; `none` where the store has none.
        promise: what holds for a job once it was taken in.
        heartbeat_age: seconds since any worker renewed its lease.
        claim_age: seconds since a claim of any live worker was answered.
    """

    status: Literal["ready", "degraded", "unavailable"]
    store: str
    promise: str
    lane: Literal["none", "delivers", "down"]
    round_trip: float | None = None
    heartbeat_age: float | None = None
    claim_age: float | None = None
    workers: tuple[WorkerHealth, ...] = ()


class WorkerSums(msgspec.Struct, frozen=True, kw_only=True):
    """Live worker processes, their slots, and how many of these are taken."""

    live: int
    slots: int
    running: int
    lost: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at a glance.

    Attributes:
        jobs: how many there are in each state, in all queues.
        oldest_age: seconds that the oldest queued job has waited.
        unread: queues with queued jobs that no live worker reads.
    """

    at: datetime
    store: str
    promise: str
    degraded: bool
    jobs: dict[str, int]
    oldest_age: float | None
    unread: tuple[str, ...]
    workers: WorkerSums
    queues: tuple[QueueInfo, ...]


async def readiness(service: Service) -> Readiness:
    """Whether jobs can be taken in and run now; never raises."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            store = await service.store()
            now = await store.now()
            took = time.monotonic() - began
            workers = await store.workers()
    except (StoreError, TimeoutError):
        return Readiness(status="unavailable", store="", promise="", lane="none")
    health = tuple(_health(worker, now) for worker in workers)
    beats = [one.heartbeat_age for one in health if one.heartbeat_age is not None]
    claims = [one.claim_age for one in health if one.live and one.claim_age is not None]
    degraded = store.degraded or any(worker.degraded and worker.live for worker in workers)
    lane: Literal["none", "delivers", "down"] = "none"
    if store.kind == "hybrid":
        lane = "down" if store.degraded else "delivers"
    return Readiness(
        status="degraded" if degraded else "ready",
        store=store.kind,
        promise=PROMISES.get(store.kind, ""),
        lane=lane,
        round_trip=took,
        heartbeat_age=min(beats, default=None),
        claim_age=min(claims, default=None),
        workers=health,
    )


def _health(worker: WorkerStatus, now: datetime) -> WorkerHealth:
    seen, claimed = worker.seen_at, worker.info.claim_age
    beat = None if seen is None else max(0.0, (now - seen).total_seconds())
    return WorkerHealth(
        name=worker.info.name,
        live=worker.live,
        slots=worker.info.concurrency,
        running=worker.running,
        heartbeat_age=beat,
        claim_age=None if claimed is None or beat is None else claimed + beat,
        degraded=worker.degraded,
    )


async def status(service: Service) -> Status:
    """Everything at a glance."""
    store = await service.store()
    queues, workers = await store.queues(), await store.workers()
    live = [worker for worker in workers if worker.live]
    read = {queue for worker in live for queue in worker.info.queues}
    ages = [info.oldest_age for info in queues if info.oldest_age is not None]
    return Status(
        at=await store.now(),
        store=store.kind,
        promise=PROMISES.get(store.kind, ""),
        degraded=store.degraded or any(worker.degraded for worker in live),
        jobs={state.value: sum(info.count(state) for info in queues) for state in JobState},
        oldest_age=max(ages, default=None),
        unread=tuple(info.name for info in queues if info.queued and info.name not in read),
        workers=WorkerSums(
            live=len(live),
            slots=sum(worker.info.concurrency for worker in live),
            running=sum(worker.running for worker in live),
            lost=len(workers) - len(live),
        ),
        queues=tuple(queues),
    )
