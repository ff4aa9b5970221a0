"""The arithmetic: rates from moments, shares, medians and spreads."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

EDGE = 0.1
"""The share of the jobs at each end of a drain that is left out: start-up and the last few."""


class Spread(NamedTuple):
    """Several readings of one measure."""

    median: float
    least: float
    most: float
    readings: int


def spread(readings: Sequence[float]) -> Spread:
    """The median of readings, and how far they lie apart."""
    return Spread(statistics.median(readings), min(readings), max(readings), len(readings))


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that this share of them does not exceed."""
    ordered = sorted(values)
    rank = -(-share * len(ordered) // 1)  # rounded up
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def middle(moments: Sequence[int]) -> tuple[float, float]:
    """Jobs a second, and the seconds over which they were counted, without both edges.

    Args:
        moments: when each job was done, in nanoseconds.
    """
    ordered = sorted(moments)
    first, last = int(len(ordered) * EDGE), int(len(ordered) * (1 - EDGE)) - 1
    seconds = (ordered[last] - ordered[first]) / 1e9
    return ((last - first) / seconds if seconds > 0 else 0.0), seconds


def overlap(began: Sequence[int], ended: Sequence[int]) -> int:
    """The most jobs that ran at one moment."""
    # At the same moment an end comes before a begin: -1 sorts before 1.
    changes = sorted([(at, 1) for at in began] + [(at, -1) for at in ended])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def share(ideal: float, began: Sequence[int], ended: Sequence[int]) -> float:
    """What part of the time from the first begin to the last end was needed."""
    return ideal / ((max(ended) - min(began)) / 1e9)
