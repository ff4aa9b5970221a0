"""How soon a job begins, and what jobs that take time lose beside their own time."""

from collections.abc import Iterator
from typing import Any, Final

from benchmarks import figures
from benchmarks.bodies import BURN, NAP
from benchmarks.peers.base import Work
from benchmarks.throughput import known_pace
from benchmarks.turn import MOST_JOBS, Reading, Turn, seen

NAPS: Final = 2000
NAPS_AT_A_TIME: Final = 100
BURNS: Final = 200
BURNS_AT_A_TIME: Final = 2


def pickup(turn: Turn) -> Iterator[Reading]:
    """Milliseconds from the begin of an enqueue to the begin of its job, idle and at half load."""
    task = f"noop_{turn.kind}"
    samples, seconds = (400, 12.0) if turn.full else (150, 4.0)
    with turn.stand() as one:
        with one.working(Work(kind=turn.kind)):
            one.order("pickup", task, 20, seconds=30.0, pause=0.02)
            numbers, told = one.order("pickup", task, samples, seconds=seconds, pause=0.02)
        yield from _percentiles("pickup.idle", told["waits"], seen(one.read(numbers), numbers))
    if turn.full and turn.first:
        yield from _at_half_load(turn)


def _at_half_load(turn: Turn) -> Iterator[Reading]:
    """The load is half of what the system drains, or of what one caller can enqueue, if less."""
    task, pace = f"noop_{turn.kind}", known_pace(turn)
    method = "one" if "enqueue" in turn.abilities["ways"] else "one_sync"
    with turn.stand() as one:
        numbers, told = one.order(method, task, 2000, seconds=1.0)
        rate = 0.5 * min(pace, len(numbers) / told["seconds"])
        with one.working(Work(kind=turn.kind)):
            one.until_done(numbers)
            numbers, told = one.order("load", task, MOST_JOBS, rate=rate, seconds=6.0)
            one.until_done(numbers)
        waits = [
            (one.ledger.began(number) - moment) / 1e9
            for number, moment in zip(numbers, told["moments"], strict=True)
            if one.ledger.began(number)
        ]
        came = round(len(numbers) / told["seconds"])
        detail = {**seen(one.read(numbers), numbers), "jobs_a_second": came}
        yield from _percentiles("pickup.load", waits, detail)


def _percentiles(measure: str, waits: list[float], detail: dict[str, Any]) -> Iterator[Reading]:
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        yield Reading(f"{measure}.{name}", figures.percentile(waits, share) * 1000, detail)


def naps(turn: Turn) -> Iterator[Reading]:
    """2,000 jobs that wait for 50 ms, 100 at a time: the share of the ideal second."""
    if turn.abilities["most_concurrency"] < NAPS_AT_A_TIME:
        return
    with turn.stand() as one:
        numbers, _ = one.order("bulk", f"nap_{turn.kind}", NAPS)
        with one.working(Work(kind=turn.kind, concurrency=NAPS_AT_A_TIME)):
            one.until_done(numbers)
        spans = one.read(numbers)
        detail = {
            **seen(spans, numbers),
            "at_a_time": figures.overlap(spans.began, spans.ended),
            "seconds": round((max(spans.ended) - min(spans.began)) / 1e9, 2),
        }
        ideal = spans.done * NAP / NAPS_AT_A_TIME
        yield Reading("naps.share", figures.share(ideal, spans.began, spans.ended), detail)


def burn(turn: Turn) -> Iterator[Reading]:
    """Jobs of 20 ms of CPU in processes, two at a time: the share of the ideal."""
    with turn.stand() as one:
        numbers, _ = one.order("bulk", turn.abilities["burn"], BURNS)
        with one.working(Work(processes=BURNS_AT_A_TIME, burns=True)):
            one.until_done(numbers)
        spans = one.read(numbers)
        # Over the middle, as for a drain: the second process may come up later than the first.
        rate, _ = figures.middle(spans.ended)
        detail = {**seen(spans, numbers), "at_a_time": figures.overlap(spans.began, spans.ended)}
        yield Reading("burn.share", rate * BURN / BURNS_AT_A_TIME, detail)
