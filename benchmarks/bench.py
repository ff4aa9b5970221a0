"""What the programs here share: servers, stores, workers without jobs' code, percentiles."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from tests import servers
from tests.hybrid.lane_server import LaneServer

from ferryman.domain.ids import new_id
from ferryman.domain.job import Delivery, NewJob, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store
from ferryman.stores.base import ClaimRequest, JobFilter, Verdict
from ferryman.stores.sql.migrations import upgrade

QUEUE = "bench"
SYNCED = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on"}
"""What the tests' PostgreSQL does without, and a figure must not."""


@contextlib.contextmanager
def ground(*, lane: bool = True) -> Iterator[tuple[Settings, LaneServer]]:
    """A PostgreSQL server and a Valkey server of one's own, and settings for both."""
    with servers.postgresql(**SYNCED) as server, LaneServer() as valkey:
        url = server.format(database="postgres")
        upgrade(url)
        yield Settings(database_url=url, valkey_url=valkey.url if lane else None), valkey


@contextlib.asynccontextmanager
async def opened(settings: Settings, number: int = 1) -> AsyncIterator[list[JobStore]]:
    """So many stores, as so many processes would open them."""
    async with contextlib.AsyncExitStack() as stack:
        stores = []
        for _ in range(number):
            store = make_store(settings)
            stack.push_async_callback(store.close)
            await store.open()
            await store.promote()
            stores.append(store)
        yield stores


def jobs(number: int, **fields: Any) -> list[NewJob]:
    """New jobs that do nothing."""
    return [
        NewJob(**{"id": new_id(), "task": "noop", "queue": QUEUE, "args": b"[[],{}]"} | fields)
        for _ in range(number)
    ]


def succeeded(delivery: Delivery) -> Ending:
    """How a job that did nothing ends."""
    return Ending(
        job_id=delivery.job_id,
        queue=delivery.queue,
        token=delivery.token,
        state=JobState.SUCCEEDED,
        reason=Reason.RETURNED,
        result=b"null",
    )


class Worker:
    """Claims and finishes, as a worker with jobs that take no time does.

    Attributes:
        done: the moments (monotonic) at which each job was claimed, by its id.
        twice: endings that were refused, or jobs that were claimed again.
    """

    def __init__(self, store: JobStore, concurrency: int = 20) -> None:
        self.store = store
        self.done: dict[str, float] = {}
        self.twice = 0
        self._info = WorkerInfo(
            id=new_id(),
            name="bench",
            host="here",
            pid=os.getpid(),
            queues=(QUEUE,),
            concurrency=concurrency,
        )
        self._request = ClaimRequest(worker=self._info.id, queues=(QUEUE,), limit=concurrency)

    async def run(self) -> None:
        """Go on until cancelled; beside it run a lease's renewals and the upkeep."""
        await self.store.register(self._info, 10)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep())
            group.create_task(self._work())

    async def _keep(self) -> None:
        while True:
            await self.store.renew(self._info, 10)
            moved, wait = await self.store.promote(1000)
            await asyncio.sleep(
                0.01 if moved else min(0.5, 0.5 if wait is None else max(wait, 0.01))
            )

    async def _work(self) -> None:
        endings: list[Ending] = []
        while True:
            if endings:
                verdicts, deliveries = await self.store.finish_and_claim(endings, self._request)
                self.twice += sum(verdict is not Verdict.APPLIED for verdict in verdicts)
            else:
                deliveries = await self.store.claim(self._request)
            now = time.monotonic()
            for delivery in deliveries:
                self.twice += delivery.job_id in self.done
                self.done[delivery.job_id] = now
            endings = [succeeded(delivery) for delivery in deliveries]
            if not deliveries:
                await self.store.wait_for_work((QUEUE,), 2.0)


@contextlib.asynccontextmanager
async def working(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """These workers, for as long as this lasts."""
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_succeeded(store: JobStore, number: int, limit: float) -> None:
    """Return once so many jobs have succeeded."""
    async with asyncio.timeout(limit):
        while await store.count(JobFilter(state=JobState.SUCCEEDED)) < number:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of all lies, in milliseconds with one digit."""
    ordered = sorted(values)
    return (
        round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)
        if ordered
        else 0.0
    )


def report(**figures: Any) -> None:
    """One line of JSON."""
    print(json.dumps(figures), flush=True)
