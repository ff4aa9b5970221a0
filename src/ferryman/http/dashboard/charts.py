"""The overview's charts: what went through the queues, as series over time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from ferryman.domain.figures import Figures, merged
from ferryman.domain.job import QueueInfo


class Range(msgspec.Struct, frozen=True):
    """A stretch of time that the charts show, in steps of `step` seconds."""

    name: str
    length: timedelta
    step: int


RANGES: Final = {
    "15m": Range("last 15 minutes", timedelta(minutes=15), 10),
    "24h": Range("last 24 hours", timedelta(hours=24), 300),
}


class Chart(msgspec.Struct, frozen=True):
    """One chart: `series` are the keys of its lines and what they are called."""

    id: str
    title: str
    unit: str
    series: tuple[tuple[str, str], ...]


CHARTS: Final = (
    Chart(
        "throughput",
        "Throughput",
        "jobs/s",
        (("submitted", "submitted"), ("succeeded", "succeeded")),
    ),
    Chart(
        "failures",
        "Failures",
        "per min",
        (("retried", "failed attempts"), ("cancelled", "cancelled"), ("failed", "failed jobs")),
    ),
    Chart("backlog", "Jobs that have not ended", "jobs", (("backlog", "open"),)),
    Chart(
        "latency",
        "Latency",
        "s",
        (
            ("wait50", "wait p50"),
            ("wait95", "wait p95"),
            ("run50", "run p50"),
            ("run95", "run p95"),
        ),
    ),
)

COUNTS: Final = ("submitted", "succeeded", "failed", "cancelled", "retried")
_LEAST_PART: Final = 0.25
"""The part of the present step that must have passed before its figures say something."""


def series(
    figures: Sequence[Figures], queues: Sequence[QueueInfo], now: datetime, span: Range
) -> dict[str, Any]:
    """The lines of all charts: `times` in epoch seconds, and a list of values a series."""
    present = int(now.timestamp())
    last = present - present % span.step
    first = last - int(span.length.total_seconds())
    times = list(range(first, last + 1, span.step))
    if present - last < span.step * _LEAST_PART:
        times.pop()
    steps: dict[int, list[Figures]] = {time: [] for time in times}
    for one in figures:
        steps.setdefault(int(one.at.astimezone(UTC).timestamp()), []).append(one)
    counts = {
        time: {name: sum(getattr(one, name) for one in steps[time]) for name in COUNTS}
        for time in times
    }
    lengths = [max(1, min(span.step, present - time)) for time in times]
    lines: dict[str, list[float | None]] = {
        name: [counts[time][name] / length for time, length in zip(times, lengths, strict=True)]
        for name in ("submitted", "succeeded")
    }
    for name in ("failed", "cancelled", "retried"):
        lines[name] = [
            counts[time][name] * 60 / length for time, length in zip(times, lengths, strict=True)
        ]
    lines["backlog"] = _backlog(counts, times, queues)
    for name in ("wait", "run"):
        spreads = [merged(getattr(one, name) for one in steps[time]) for time in times]
        for percent in (50, 95):
            lines[f"{name}{percent}"] = [spread.quantile(percent / 100) for spread in spreads]
    return {"times": times, "series": lines}


def _backlog(
    counts: dict[int, dict[str, int]], times: Sequence[int], queues: Sequence[QueueInfo]
) -> list[float | None]:
    """How many jobs had not ended at the end of each step, reckoned back from those of now."""
    open_now = sum(one.queued + one.scheduled + one.waiting + one.running for one in queues)
    line: list[float | None] = []
    for time in reversed(times):
        line.append(max(0, open_now))
        count = counts[time]
        open_now += count["succeeded"] + count["failed"] + count["cancelled"] - count["submitted"]
    return line[::-1]
