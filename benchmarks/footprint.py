"""What jobs and workers cost: memory, processor time, commands and statements."""

import time
from collections.abc import Iterator
from typing import Final

import psutil

from benchmarks import meters
from benchmarks.ledger import waiting
from benchmarks.peers.base import Work
from benchmarks.stand import Stand
from benchmarks.throughput import known_pace
from benchmarks.turn import Reading, Turn, jobs_for, seen

SETTLE: Final = 3.0
"""Seconds after a worker's first jobs before it counts as idle."""

PUBLISHED: Final = 1.5
"""Seconds after which PostgreSQL has published what its processes counted."""


def memory(turn: Turn) -> Iterator[Reading]:
    """KiB that the servers hold for 1,000 queued jobs, and for 1,000 finished ones with results."""
    task = f"receipt_{turn.kind}"
    jobs = max(1000, min(20_000, jobs_for(5.0, known_pace(turn)) // 1000 * 1000))
    with turn.stand() as one:
        one.order("bulk", task, 100)  # what the first ones bring about is not counted
        one.rest()
        before = meters.held(one.environment)
        numbers, _ = one.order("bulk", task, jobs)
        one.rest()
        queued = meters.held(one.environment)
        with one.working(Work(kind=turn.kind)):
            one.until_done(one.everything())
        detail = seen(one.read(numbers), numbers)
        finished = meters.held(one.environment)
    for name, after in (("queued", queued), ("finished", finished)):
        for server, held in before.items():
            value = (after[server] - held) / 1024 / (jobs / 1000)
            yield Reading(f"memory.{name}.{server}", value, detail)


def idle(turn: Turn) -> Iterator[Reading]:
    """A worker without jobs: percent of one core of it and of its servers, and its memory."""
    seconds = 10.0
    with turn.stand() as one:
        numbers, _ = one.order("bulk", f"noop_{turn.kind}", 100)
        with one.working(Work(kind=turn.kind)) as worker:
            one.until_done(numbers)
            one.rest()
            time.sleep(SETTLE)
            groups = {"worker": meters.family(worker), "servers": turn.ground.processes()}
            before = {name: meters.processor(group) for name, group in groups.items()}
            counts = meters.counted(one.environment)
            time.sleep(seconds)
            spent = {name: meters.processor(group) - before[name] for name, group in groups.items()}
            after = meters.counted(one.environment)
            rss, processes = meters.resident(groups["worker"]), len(groups["worker"])
        detail = {**seen(one.read(numbers), numbers), "processes": processes}
        detail |= {
            f"{name}_a_second": round((after[name] - counts[name]) / seconds, 1) for name in after
        }
    for name, took in spent.items():
        yield Reading(f"idle.cpu.{name}", took / seconds * 100, detail)
    yield Reading("idle.cpu", sum(spent.values()) / seconds * 100, detail)
    yield Reading("idle.memory", rss, detail)


def cost(turn: Turn) -> Iterator[Reading]:
    """What one job costs the servers, enqueued by itself and drained; and CPU while drained."""
    task, jobs = f"noop_{turn.kind}", jobs_for(3.0, known_pace(turn))
    method = "one" if "enqueue" in turn.abilities["ways"] else "one_sync"
    with turn.stand() as one:
        one.order(method, task, 10, seconds=10.0)
        start = _counted(one)
        singles, _ = one.order(method, task, 1000, seconds=30.0)
        enqueued = _counted(one)
        one.order("bulk", task, jobs)
        filled = _counted(one)
        everything = one.everything()
        with one.working(Work(kind=turn.kind)) as worker:
            spent = dict(
                _spent(one, everything, {"worker": [worker], "servers": turn.ground.processes()})
            )
            drained = _counted(one)
        detail = seen(one.read(everything), everything)
    for name in start:
        yield Reading(f"cost.enqueue.{name}", (enqueued[name] - start[name]) / len(singles), detail)
        yield Reading(
            f"cost.drain.{name}", (drained[name] - filled[name]) / len(everything), detail
        )
    for name, microseconds in spent.items():
        yield Reading(f"cost.cpu.{name}", microseconds, detail)


def _counted(one: Stand) -> dict[str, float]:
    if one.environment.get("BENCHMARK_DATABASE", "").startswith("postgresql"):
        time.sleep(PUBLISHED)
    return meters.counted(one.environment)


def _spent(
    one: Stand, numbers: range, groups: dict[str, list[psutil.Process]]
) -> Iterator[tuple[str, float]]:
    """Microseconds of CPU a job, from the first look that sees jobs done to the last of them."""
    looks = waiting(one.ledger, numbers)
    while (left := next(looks, 0)) == len(numbers):
        time.sleep(0.005)
    members = {
        name: [member for process in group for member in meters.family(process)]
        for name, group in groups.items()
    }
    before = {name: meters.processor(group) for name, group in members.items()}
    one.until_done(numbers)
    for name, group in members.items():
        yield name, (meters.processor(group) - before[name]) / max(left, 1) * 1e6
