"""The lane goes away under load (SIGKILL, SIGSTOP, in turns): what do enqueues and workers feel?

python -m benchmarks.outage [--how stop|freeze|flap] [--short]
"""

import argparse
import asyncio
import time

from tests.hybrid.lane_server import LaneServer

from benchmarks.bench import (
    Worker,
    ground,
    jobs,
    opened,
    percentile,
    report,
    until_succeeded,
    working,
)
from ferryman.domain.errors import StoreError
from ferryman.stores.base import JobStore
from ferryman.stores.hybrid.store import HybridStore


class Producer:
    """Enqueues single jobs one after the other, and notes how long each takes."""

    def __init__(self, store: JobStore, rate: float) -> None:
        self._store = store
        self._pause = 1 / rate
        self.took: list[tuple[float, float]] = []
        self.failed = 0

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            begun = time.monotonic()
            try:
                await self._store.submit(jobs(1))
                self.took.append((begun, time.monotonic() - begun))
            except StoreError:
                self.failed += 1
            await asyncio.sleep(self._pause)

    def between(self, start: float, end: float) -> list[float]:
        """How long the enqueues of a stretch of time took."""
        return [took for begun, took in self.took if start <= begun < end]


async def take_away(lane: LaneServer, how: str, seconds: float) -> None:
    """Do without the lane for so long."""
    if how == "freeze":
        lane.freeze()
        await asyncio.sleep(seconds)
        lane.thaw()
        return
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lane.kill()
        await asyncio.sleep(2.0 if how == "flap" else seconds)
        await asyncio.to_thread(lane.start)
        await asyncio.sleep(2.0 if how == "flap" else 0)


async def main(how: str, normal: float, outage: float, rate: float) -> None:
    """Measure before, during and after."""
    with ground() as (settings, lane):
        async with opened(settings, 3) as stores:
            workers = [Worker(store) for store in stores[1:]]
            producer = Producer(stores[0], rate)
            async with working(workers):
                enqueuing = asyncio.create_task(producer.run())
                await asyncio.sleep(1.0)
                started = time.monotonic()
                await asyncio.sleep(normal)
                away = time.monotonic()
                await take_away(lane, how, outage)
                returned = time.monotonic()
                back = await _until_back(stores, returned)
                enqueuing.cancel()
                await asyncio.gather(enqueuing, return_exceptions=True)
                await until_succeeded(stores[0], len(producer.took), 120)
            done = [at for worker in workers for at in worker.done.values()]
            before = sum(started <= at < away for at in done) / (away - started)
            during = sum(away <= at < returned for at in done) / (returned - away)
            calm, rough = producer.between(started, away), producer.between(away, returned)
            report(
                what=f"outage by {how}",
                outage_s=round(returned - away, 1),
                enqueued=len(producer.took),
                enqueues_failed=producer.failed,
                lost=len(producer.took) - len(done),
                finished_twice=sum(worker.twice for worker in workers),
                enqueue_p50_ms=[percentile(calm, 0.5), percentile(rough, 0.5)],
                enqueue_p99_ms=[percentile(calm, 0.99), percentile(rough, 0.99)],
                jobs_per_s=[round(before), round(during)],
                share_of_normal=round(during / before, 2),
                seconds_until_back=back,
                switches=[s._breaker.switches for s in stores if isinstance(s, HybridStore)],
            )


async def _until_back(stores: list[JobStore], since: float) -> list[float]:
    back = []
    for store in stores:
        assert isinstance(store, HybridStore)
        await store._breaker.until_closed()
        back.append(round(time.monotonic() - since, 1))
    return back


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--how", choices=("stop", "freeze", "flap"), default="stop")
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    asyncio.run(main(given.how, *((2.0, 4.0, 50.0) if given.short else (15.0, 60.0, 100.0))))
