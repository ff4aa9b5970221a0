"""What is measured: each workload takes a turn of one system and gives readings."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from redis import Redis

from benchmarks import figures
from benchmarks.bodies import BURN, NAP
from benchmarks.ground import Ground
from benchmarks.ledger import Spans
from benchmarks.peers.base import Kind, Work
from benchmarks.stand import Stand, stand
from benchmarks.systems import System

MOST_JOBS: Final = 200_000
"""Jobs of one drain at most."""

LEAST_JOBS: Final = 300


class Reading(NamedTuple):
    """One figure, and how it came about."""

    measure: str
    value: float
    detail: dict[str, Any]


class Turn:
    """One system's turn in one round: its servers, and what is known of its pace."""

    def __init__(
        self, system: System, ground: Ground, pace: dict[str, float], *, full: bool
    ) -> None:
        self.system = system
        self.ground = ground
        self.full = full
        self._pace = pace

    def stand(self) -> Any:
        """The system on an empty store."""
        return stand(self.ground, self.system)

    def pace(self, measure: str) -> float | None:
        """The latest reading of that measure, in an earlier round too."""
        return self._pace.get(measure)

    def learn(self, reading: Reading) -> Reading:
        """Keep a reading for `pace`."""
        self._pace[reading.measure] = reading.value
        return reading


def _seen(spans: Spans, numbers: range) -> dict[str, Any]:
    """What is told of every figure: how many jobs were done, and how many were not, or twice."""
    return {
        "jobs": spans.done,
        "missing": len(numbers) - spans.done,
        "duplicates": spans.duplicates,
    }


# -- drain -----------------------------------------------------------------------------------------


def drain(turn: Turn) -> Iterator[Reading]:
    """Jobs a second of a worker that empties a full queue of jobs that do nothing."""
    with turn.stand() as first:
        kinds = first.abilities["kinds"]
    shapes = [(kinds[0], 1)]
    if turn.full:
        shapes = [(kind, processes) for kind in kinds for processes in (1, 2)]
    for kind, processes in shapes:
        yield _drain(turn, kind, processes)


def _drain(turn: Turn, kind: Kind, processes: int, seconds: float = 3.0) -> Reading:
    measure = f"drain.{kind}.{processes}"
    pace = turn.pace(measure) or turn.pace(f"drain.{kind}.1")
    jobs = 1000 if pace is None else int(pace * seconds)
    while True:
        jobs = max(LEAST_JOBS, min(MOST_JOBS, jobs))
        with turn.stand() as one:
            rate, counted, detail = drain_once(one, Work(kind=kind, processes=processes), jobs)
        # Too short a drain is only good for finding out how many jobs it takes.
        if counted >= seconds / 2 or jobs == MOST_JOBS:
            return turn.learn(Reading(measure, rate, detail))
        jobs = max(int(rate * seconds), jobs * 2)


def drain_once(one: Stand, work: Work, jobs: int) -> tuple[float, float, dict[str, Any]]:
    """Jobs a second, the seconds over which they were counted, and what was seen."""
    numbers, _ = one.order("bulk", f"noop_{work.kind}", jobs)
    with one.working(work):
        one.until_done(numbers)
    spans = one.read(numbers)  # after the worker has left: a job that it ran twice has shown
    rate, seconds = figures.middle(spans.ended)
    return rate, seconds, {**_seen(spans, numbers), "seconds": round(seconds, 2)}


def known_pace(turn: Turn, one: Stand) -> float:
    """Jobs a second that the system drains, measured now if it is not known yet."""
    kind = one.abilities["kinds"][0]
    known = turn.pace(f"drain.{kind}.1")
    return known if known is not None else _drain(turn, kind, 1, seconds=1.0).value


# -- enqueue ---------------------------------------------------------------------------------------

WAYS: Final = {
    "enqueue": {"one": "enqueue.one.async"},
    "enqueue_now": {"one_sync": "enqueue.one.sync"},
}


def enqueue(turn: Turn) -> Iterator[Reading]:
    """Jobs a second that are taken in; all of them are done by a worker afterwards."""
    with turn.stand() as one:
        ways = one.abilities["ways"]
        kind = one.abilities["kinds"][0]
        task = f"noop_{kind}"
        most = max(LEAST_JOBS, min(MOST_JOBS, int(known_pace(turn, one) * 4)))
        readings: list[tuple[str, range, dict[str, Any]]] = []

        def make(measure: str, method: str, limit: int, **details: Any) -> None:
            one.order(
                method, task, min(limit, 200), **details
            )  # connections are made, scripts loaded
            numbers, told = one.order(method, task, limit, **details)
            readings.append((measure, numbers, told))

        seconds = 2.0 if turn.full else 1.0
        for way, methods in WAYS.items():
            for method, measure in methods.items():
                if way in ways:
                    make(measure, method, most, seconds=seconds)
        make("enqueue.concurrent", "concurrent", most, seconds=seconds)
        if "enqueue_many" in ways:
            make("enqueue.bulk", "bulk", most)
        everything = range(one.numbers(0).stop)
        with one.working(Work(kind=kind)):
            one.until_done(everything)
        for measure, numbers, told in readings:
            spans = one.read(numbers)
            rate = spans.done / told["seconds"]
            detail = {**_seen(spans, numbers), "seconds": round(told["seconds"], 2)}
            yield turn.learn(Reading(measure, rate, detail))


# -- pick-up ---------------------------------------------------------------------------------------


def pickup(turn: Turn) -> Iterator[Reading]:
    """Milliseconds from the begin of an enqueue to the begin of its job, idle and at half load."""
    with turn.stand() as one:
        kind = one.abilities["kinds"][0]
        task = f"noop_{kind}"
        samples, seconds = (400, 12.0) if turn.full else (150, 5.0)
        with one.working(Work(kind=kind)):
            one.order("pickup", task, 20, seconds=30.0, pause=0.02)
            numbers, told = one.order("pickup", task, samples, seconds=seconds, pause=0.02)
        yield from _latencies("pickup.idle", told["waits"], _seen(one.read(numbers), numbers))
    if turn.full:
        yield from _pickup_at_half_load(turn)


def _pickup_at_half_load(turn: Turn) -> Iterator[Reading]:
    with turn.stand() as one:
        kind = one.abilities["kinds"][0]
        task = f"noop_{kind}"
        method = "one" if "enqueue" in one.abilities["ways"] else "one_sync"
        numbers, told = one.order(method, task, 2000, seconds=1.0)
        taken_in = len(numbers) / told["seconds"]
        rate = 0.5 * min(known_pace(turn, one), taken_in)
        with one.working(Work(kind=kind)):
            one.until_done(numbers)
            numbers, told = one.order("load", task, MOST_JOBS, rate=rate, seconds=6.0)
            one.until_done(numbers)
        spans = one.read(numbers)
        waits = [
            (one.ledger.began(number) - moment) / 1e9
            for number, moment in zip(numbers, told["moments"], strict=True)
            if one.ledger.began(number)
        ]
        detail = {**_seen(spans, numbers), "offered": round(rate)}
        yield from _latencies("pickup.load", waits, detail)


def _latencies(measure: str, waits: list[float], detail: dict[str, Any]) -> Iterator[Reading]:
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        value = figures.percentile(waits, share) * 1000
        yield Reading(f"{measure}.{name}", value, detail | {"samples": len(waits)})


# -- jobs that take time ---------------------------------------------------------------------------


def naps(turn: Turn) -> Iterator[Reading]:
    """2,000 jobs that wait for 50 ms, 100 at a time: the share of the ideal second."""
    jobs, concurrency = 2000, 100
    with turn.stand() as one:
        if one.abilities["most_concurrency"] < concurrency:
            return
        kind = one.abilities["kinds"][0]
        numbers, _ = one.order("bulk", f"nap_{kind}", jobs)
        with one.working(Work(kind=kind, concurrency=concurrency)):
            one.until_done(numbers)
        spans = one.read(numbers)
        detail = {
            **_seen(spans, numbers),
            "at_a_time": figures.overlap(spans.began, spans.ended),
            "seconds": round((max(spans.ended) - min(spans.began)) / 1e9, 2),
        }
        ideal = spans.done * NAP / concurrency
        yield Reading("naps.share", figures.share(ideal, spans.began, spans.ended), detail)


def burn(turn: Turn) -> Iterator[Reading]:
    """Jobs of 20 ms of CPU, two at a time in processes: the share of the ideal."""
    jobs, processes = 200, 2
    with turn.stand() as one:
        numbers, _ = one.order("bulk", one.abilities["burn"], jobs)
        kind: Kind = "async" if one.abilities["burn"].endswith("async") else "sync"
        with one.working(Work(kind=kind, processes=processes, burns=True)):
            one.until_done(numbers)
        spans = one.read(numbers)
        detail = {
            **_seen(spans, numbers),
            "at_a_time": figures.overlap(spans.began, spans.ended),
        }
        # Over the middle, as for a drain: the second process may come up later than the first.
        rate, _ = figures.middle(spans.ended)
        yield Reading("burn.share", rate * BURN / processes, detail)


# -- memory ----------------------------------------------------------------------------------------


def memory(turn: Turn) -> Iterator[Reading]:
    """KiB that the servers hold for 1,000 queued jobs, and for 1,000 finished ones with results."""
    with turn.stand() as one:
        kind = one.abilities["kinds"][0]
        task = f"receipt_{kind}"
        jobs = max(1000, min(20_000, int(known_pace(turn, one) * 5) // 1000 * 1000))
        one.order("bulk", task, 100)
        one.rest()
        before = _held(one)
        numbers, _ = one.order("bulk", task, jobs)
        one.rest()
        queued = _held(one)
        with one.working(Work(kind=kind)):
            one.until_done(range(numbers.stop))
        spans = one.read(numbers)
        # The first 100 were queued before and are finished now, with the others.
        finished = _held(one)
        for name, held, number in (("queued", queued, jobs), ("finished", finished, jobs)):
            for part in before:
                value = (held[part] - before[part]) / 1024 / (number / 1000)
                yield Reading(f"memory.{name}.{part}", value, _seen(spans, numbers))


def _held(one: Stand) -> dict[str, float]:
    """Bytes that each of the system's servers holds."""
    held: dict[str, float] = {}
    if url := one.environment.get("BENCHMARK_VALKEY"):
        with Redis.from_url(url) as server:
            told = server.info("memory")
        held["valkey"] = told["used_memory"] - told["mem_clients_normal"] - told["mem_aof_buffer"]
    url = one.environment.get("BENCHMARK_DATABASE", "")
    if url.startswith("sqlite"):
        held["sqlite"] = _sqlite_bytes(url.removeprefix("sqlite:///"))
    elif url:
        held["postgresql"] = _postgres_bytes(url)
    return held


def _sqlite_bytes(path: str) -> float:
    import sqlite3
    from pathlib import Path

    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Path(path).stat().st_size


def _postgres_bytes(url: str) -> float:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return float(row[0]) if row else 0.0


ALL: Final[dict[str, Callable[[Turn], Iterator[Reading]]]] = {
    function.__name__: function for function in (drain, enqueue, pickup, naps, burn, memory)
}
"""All workloads by name, in the order in which they are run."""

ONCE: Final = {"memory"}
"""Those whose figures hardly change from round to round: the first round is enough."""
