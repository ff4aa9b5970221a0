"""From an enqueue to the claim by an idle worker, in a store of its own: hybrid, and SQL alone.
Then a drain: what a job costs in statements and in commands, and jobs a second.

    python -m benchmarks.pickup [--short]
"""

import argparse
import asyncio
import time

import msgspec
import psycopg
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
from ferryman.settings import Settings


async def latency(settings: Settings, name: str, number: int) -> None:
    """The pick-up by an idle worker of jobs that come one at a time."""
    async with opened(settings, 2) as (producer, store):
        worker = Worker(store)
        async with working([worker]):
            await asyncio.sleep(2.0)
            waits = []
            for _ in range(number):
                (job,) = jobs(1)
                begun = time.monotonic()
                await producer.submit([job])
                while job.id not in worker.done:  # noqa: ASYNC110
                    await asyncio.sleep(0.0005)
                waits.append(worker.done[job.id] - begun)
                await asyncio.sleep(0.03)
        report(
            what=f"pick-up, {name}",
            jobs=number,
            p50_ms=percentile(waits, 0.5),
            p99_ms=percentile(waits, 0.99),
        )


def _transactions(url: str) -> int:
    counted = "SELECT xact_commit + xact_rollback FROM pg_stat_database"
    text = f"{counted} WHERE datname = current_database()"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        row = connection.execute(text).fetchone()
        return int(row[0]) if row else 0


def _commands(lane: LaneServer) -> int:
    with lane.client() as client:
        return int(client.info("stats")["total_commands_processed"])


async def cost(settings: Settings, lane: LaneServer, name: str, number: int) -> None:
    """A drain of single enqueues by two workers."""
    url = settings.database_url or ""
    async with opened(settings, 3) as (producer, *stores):
        workers = [Worker(store) for store in stores]
        await asyncio.sleep(1.5)  # the server publishes its counters once a second
        transactions, commands = _transactions(url), _commands(lane)
        begun = time.monotonic()
        for _ in range(0, number, 20):
            await asyncio.gather(*(producer.submit(jobs(1)) for _ in range(20)))
        enqueued = time.monotonic()
        async with working(workers):
            while sum(len(worker.done) for worker in workers) < number:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            drained = time.monotonic()
            await until_succeeded(producer, number, 60)
        await asyncio.sleep(1.5)
        report(
            what=f"cost, {name}",
            jobs=number,
            transactions_a_job=round((_transactions(url) - transactions) / number, 2),
            lane_commands_a_job=round((_commands(lane) - commands) / number, 2),
            enqueued_per_s=round(number / (enqueued - begun)),
            drained_per_s=round(number / (drained - enqueued)),
        )


async def main(samples: int, number: int) -> None:
    """Hybrid, then SQL alone."""
    for name in ("hybrid", "SQL only"):
        with ground() as (settings, lane):
            if name != "hybrid":
                settings = msgspec.structs.replace(settings, valkey_url=None)
            await latency(settings, name, samples)
        with ground() as (settings, lane):
            if name != "hybrid":
                settings = msgspec.structs.replace(settings, valkey_url=None)
            await cost(settings, lane, name, number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    short = parser.parse_args().short
    asyncio.run(main(50 if short else 500, 500 if short else 5000))
