"""Ferryman with many jobs waiting: a claim must not cost more for that."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.bench import jobs as new_jobs
from benchmarks.bench import succeeded
from benchmarks.stand import Stand
from benchmarks.turn import Reading, Turn
from ferryman.domain.ids import new_id
from ferryman.domain.job import WorkerInfo
from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store
from ferryman.stores.base import ClaimRequest

DEPTHS: Final = (1000, 1_000_000)
CLAIMS: Final = 60
LIMIT: Final = 100
"""Jobs of one claim."""


def backlog(turn: Turn) -> Iterator[Reading]:
    """Milliseconds of a call that finishes 100 jobs and claims 100 more, and how it grows."""
    if not turn.system.own:
        return
    medians = []
    for depth in DEPTHS:
        with turn.stand() as one:
            one.order("bulk", "noop_async", depth)
            one.rest()
            medians.append(asyncio.run(_claims(one)) * 1000)
        yield Reading(f"backlog.{depth}", medians[-1], {"claims": CLAIMS, "jobs": LIMIT})
    yield Reading("backlog.growth", medians[-1] / medians[0], {})


async def _claims(one: Stand) -> float:
    """The median of the seconds that such a call takes; the backlog stays as deep as it was."""
    store = make_store(_settings(one))
    await store.open()
    try:
        return await _timed_claims(store)
    finally:
        await store.close()


async def _timed_claims(store: JobStore) -> float:
    worker = WorkerInfo(
        id=new_id(), name="bench", host="here", pid=1, queues=("default",), concurrency=LIMIT
    )
    await store.register(worker, 60)
    request = ClaimRequest(worker=worker.id, queues=worker.queues, limit=LIMIT)
    deliveries = await store.claim(request)
    taken = []
    for _ in range(CLAIMS):
        await store.submit(new_jobs(len(deliveries), queue="default"))
        endings = [succeeded(delivery) for delivery in deliveries]
        began = time.monotonic()
        _, deliveries = await store.finish_and_claim(endings, request)
        taken.append(time.monotonic() - began)
        assert len(deliveries) == LIMIT, "a claim did not find what is waiting"
    return statistics.median(taken)


def _settings(one: Stand) -> Settings:
    return Settings(
        database_url=one.environment.get("BENCHMARK_DATABASE"),
        valkey_url=one.environment.get("BENCHMARK_VALKEY"),
    )
