"""FLUSHALL with jobs queued, delayed and running: is any lost, how soon does the last one start?

python -m benchmarks.flush [--short]
"""

import argparse
import asyncio
import time

from benchmarks.bench import Worker, ground, jobs, opened, report, until_succeeded, working
from ferryman.stores.hybrid.store import HybridStore


async def main(number: int, backlog: int) -> None:
    """Flush in the middle of so many jobs, and fill a lane with so many."""
    with ground() as (settings, lane):
        async with opened(settings, 3) as stores:
            producer, *others = stores
            for _ in range(0, number, 500):
                await producer.submit(jobs(250))
                await producer.submit(jobs(250, delay=5.0))
            due = time.monotonic() + 5.0
            workers = [Worker(store) for store in others]
            async with working(workers):
                await asyncio.sleep(1.0)
                lane.flush()
                flushed = time.monotonic()
                await until_succeeded(producer, number, 300)
            done = {key: at for worker in workers for key, at in worker.done.items()}
            report(
                what="flush",
                jobs=number,
                lost=number - len(done),
                finished_twice=sum(worker.twice for worker in workers),
                claimed_before_the_flush=sum(at < flushed for at in done.values()),
                last_started_after_flush_s=round(max(done.values()) - flushed, 2),
                last_started_after_due_s=round(max(done.values()) - due, 2),
            )
            for _ in range(0, backlog, 1000):
                await producer.submit(jobs(1000))
            lane.flush()
            begun = time.monotonic()
            assert isinstance(producer, HybridStore)
            await producer.sweep()
            took = time.monotonic() - begun
            report(
                what="refill",
                rows=backlog,
                seconds=round(took, 2),
                per_100k=round(took * 1e5 / backlog, 2),
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    asyncio.run(main(2000 if short else 20_000, 10_000 if short else 100_000))
