"""Jobs a second: taken in, and drained."""

from collections.abc import Iterator
from typing import Any, Final

from benchmarks import figures
from benchmarks.peers.base import Work
from benchmarks.stand import Stand
from benchmarks.turn import MOST_JOBS, Reading, Turn, jobs_for, seen

SECONDS: Final = 3.0
"""How long a drain is to be counted; two thirds of it are enough."""


def drain(turn: Turn) -> Iterator[Reading]:
    """Jobs a second of a worker that empties a full queue of jobs that do nothing."""
    kinds = turn.abilities["kinds"] if turn.full else [turn.kind]
    for processes in (1, 2) if turn.full and turn.first else (1,):
        for kind in kinds:
            yield long_drain(turn, Work(kind=kind, processes=processes), SECONDS)


def long_drain(turn: Turn, work: Work, seconds: float) -> Reading:
    """A drain of as many jobs as take about so long, however fast the system is."""
    measure = f"drain.{work.kind}.{work.processes}"
    pace = turn.pace(measure) or turn.pace(f"drain.{work.kind}.1")
    whole = seconds / (1 - 2 * figures.EDGE)
    jobs = 1000 if pace is None else jobs_for(whole, pace)
    while True:
        with turn.stand() as one:
            rate, counted, detail = drain_once(one, work, jobs)
        # Too short a drain is only good for finding out how many jobs it takes.
        if counted >= seconds * 2 / 3 or jobs == MOST_JOBS:
            return turn.learn(Reading(measure, rate, detail))
        jobs = max(jobs_for(whole, rate), min(MOST_JOBS, jobs * 2))


def drain_once(
    one: Stand, work: Work, jobs: int, elsewhere: dict[str, str] | None = None
) -> tuple[float, float, dict[str, Any]]:
    """Jobs a second, the seconds over which they were counted, and what was seen.

    Args:
        elsewhere: what the worker's environment says instead of where the servers are.
    """
    numbers, _ = one.order("bulk", f"noop_{work.kind}", jobs)
    with one.working(work, elsewhere):
        one.until_done(numbers)
    spans = one.read(numbers)  # after the worker has left: a job that it ran twice has shown
    rate, seconds = figures.middle(spans.ended)
    return rate, seconds, {**seen(spans, numbers), "seconds": round(seconds, 2)}


def known_pace(turn: Turn) -> float:
    """Jobs a second that the system drains, measured now if it is not known yet."""
    known = turn.pace(f"drain.{turn.kind}.1")
    return known if known is not None else long_drain(turn, Work(kind=turn.kind), 1.0).value


def enqueue(turn: Turn) -> Iterator[Reading]:
    """Jobs a second that are taken in; a figure counts those that a worker did afterwards."""
    # No more than the worker does in a few seconds: all of them are to be seen done.
    pace = known_pace(turn)
    most = jobs_for(4.0 if turn.full else 2.0, pace)
    bulk = max(most, min(10_000, jobs_for(8.0, pace)))  # that many are soon enqueued
    with turn.stand() as one:
        readings = list(_taken_in(turn, one, most, bulk))
        with one.working(Work(kind=turn.kind)):
            one.until_done(one.everything())
        for measure, numbers, seconds in readings:
            spans = one.read(numbers)
            detail = {**seen(spans, numbers), "seconds": round(seconds, 2)}
            yield turn.learn(Reading(measure, spans.done / seconds, detail))


def _taken_in(turn: Turn, one: Stand, most: int, bulk: int) -> Iterator[tuple[str, range, float]]:
    """What was measured, the jobs, and the seconds."""
    limit = {"seconds": 2.0 if turn.full else 1.0}
    ways: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
        ("enqueue", "one", "enqueue.one.async", most, limit),
        ("enqueue_now", "one_sync", "enqueue.one.sync", most, limit),
        ("", "concurrent", "enqueue.concurrent", most, limit),
        ("enqueue_many", "bulk", "enqueue.bulk", bulk, {}),
    )
    for needed, method, measure, jobs, details in ways:
        if needed and needed not in turn.abilities["ways"]:
            continue
        task = f"noop_{turn.kind}"
        one.order(method, task, 200, **details)  # connections are made, scripts loaded
        numbers, told = one.order(method, task, jobs, **details)
        yield measure, numbers, told["seconds"]
