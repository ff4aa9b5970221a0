"""A first reading: no-op jobs a second with one worker process, and memory a queued job.

python -m benchmarks.first_reading [--jobs 10000] [--rounds 3] [STORE …]
"""

import argparse
import statistics
import time
from typing import Any

from redis import Redis

from benchmarks.stage import STORES, Stage, store, until

TASKS = {"async": "nothing", "sync": "nothing_in_a_thread"}


def receipts(count: int) -> list[tuple[Any, ...]]:
    """The arguments of so many receipts."""
    return [(number, f"receipts/2026/11/{number:08d}.jpg", number % 97) for number in range(count)]


def drain(stage: Stage, task: str, jobs: int) -> tuple[float, float]:
    """Jobs enqueued a second, in bulk, and jobs drained a second."""
    began = time.monotonic()
    for start in range(0, jobs, 1000):
        stage.enqueue(task, *receipts(min(1000, jobs - start)))
    enqueued = jobs / (time.monotonic() - began)
    with stage.worker(concurrency=100):
        first = until(lambda: _progress(stage))
        last = until(lambda: _progress(stage, jobs), 600)
    return enqueued, (last[1] - first[1]) / (last[0] - first[0])


def _progress(stage: Stage, least: int = 1) -> tuple[float, int] | None:
    """The moment, and how many jobs have succeeded by then, if it is as many as that."""
    done = stage.app.queues.info("default").succeeded
    return (time.monotonic(), done) if done >= least else None


def memory(stage: Stage, jobs: int) -> float:
    """KiB of Valkey's memory for 1,000 queued jobs."""
    assert stage.settings.valkey_url is not None
    with Redis.from_url(stage.settings.valkey_url) as server:
        stage.enqueue("nothing", *receipts(1))
        before = server.info("memory")["used_memory"]
        for _ in range(jobs // 1000):
            stage.enqueue("nothing", *receipts(1000))
        after = server.info("memory")["used_memory"]
    return float(after - before) / 1024 / (jobs // 1000)


def main() -> None:
    """Measure, and print a line for each store and task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="*", metavar="STORE", default=STORES)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for kind in given.stores:
        for name, task in TASKS.items():
            readings = []
            for _ in range(given.rounds):
                with store(kind) as stage:
                    readings.append(drain(stage, task, given.jobs))
            enqueued, drained = map(list, zip(*readings, strict=True))
            print(
                f"{kind} {name}: {statistics.median(drained):,.0f} jobs/s drained "
                f"({min(drained):,.0f} to {max(drained):,.0f}), "
                f"{statistics.median(enqueued):,.0f} enqueued in bulk",
                flush=True,
            )
    if "valkey" in given.stores:
        with store("valkey") as stage:
            print(f"valkey: {memory(stage, given.jobs):,.0f} KiB for 1,000 queued jobs")


if __name__ == "__main__":
    main()
