"""Ferryman with many jobs waiting: a claim must not cost more for that."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Final

from benchmarks import meters
from benchmarks.bench import jobs, succeeded
from benchmarks.stand import Stand
from benchmarks.turn import Reading, Turn
from ferryman.domain.ids import new_id
from ferryman.domain.job import Delivery, WorkerInfo
from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store
from ferryman.stores.base import ClaimRequest

DEPTHS: Final = (1000, 1_000_000)
CLAIMS: Final = 200
LIMIT: Final = 100
"""Jobs of one claim."""


def backlog(turn: Turn) -> Iterator[Reading]:
    """Milliseconds of a call that finishes 100 jobs and claims 100 more, and how it grows.

    Both backlogs are there at the same time, and calls to one and the other alternate, so that a
    machine that is busy for a while slows both.
    """
    if not turn.system.own:
        return
    with contextlib.ExitStack() as stack:
        stands = [stack.enter_context(turn.stand()) for _ in DEPTHS]
        for one, depth in zip(stands, DEPTHS, strict=True):
            one.order("bulk", "noop_async", depth)
            one.rest()
            meters.settle(one.environment)
        few, many = asyncio.run(_medians(stands))
    detail = {"claims": CLAIMS, "jobs": LIMIT}
    for depth, median in zip(DEPTHS, (few, many), strict=True):
        yield Reading(f"backlog.{depth}", median * 1000, detail)
    yield Reading("backlog.growth", many / few, detail)


async def _medians(stands: Sequence[Stand]) -> list[float]:
    """Of each, the median of the seconds that a call takes."""
    async with contextlib.AsyncExitStack() as stack:
        workers = []
        for one in stands:
            store = make_store(_settings(one))
            stack.push_async_callback(store.close)
            await store.open()
            workers.append(_Worker(store))
            await workers[-1].begin()
        for _ in range(CLAIMS):
            for worker in workers:
                await worker.go_on()
    return [statistics.median(worker.taken) for worker in workers]


class _Worker:
    """Keeps a backlog as deep as it is, and times what a worker asks of it."""

    def __init__(self, store: JobStore) -> None:
        self.taken: list[float] = []
        self._store = store
        self._info = WorkerInfo(
            id=new_id(), name="bench", host="here", pid=1, queues=("default",), concurrency=LIMIT
        )
        self._request = ClaimRequest(worker=self._info.id, queues=self._info.queues, limit=LIMIT)
        self._deliveries: list[Delivery] = []

    async def begin(self) -> None:
        """Have a lease for long, and the first jobs."""
        await self._store.register(self._info, 600)
        self._deliveries = await self._store.claim(self._request)

    async def go_on(self) -> None:
        """Enqueue as many jobs as are finished now, and claim the next."""
        await self._store.submit(jobs(LIMIT, queue="default"))
        endings = [succeeded(delivery) for delivery in self._deliveries]
        began = time.monotonic()
        _, self._deliveries = await self._store.finish_and_claim(endings, self._request)
        self.taken.append(time.monotonic() - began)
        assert len(self._deliveries) == LIMIT, "a claim did not find what is waiting"


def _settings(one: Stand) -> Settings:
    return Settings(
        database_url=one.environment.get("BENCHMARK_DATABASE"),
        valkey_url=one.environment.get("BENCHMARK_VALKEY"),
    )
