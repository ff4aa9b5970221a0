"""Figures: what went through a queue in a stretch of time, for charts."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

BOUNDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Seconds: the upper ends of a spread's buckets; a last bucket is for what took longer."""

STEPS: Final = {10: 3600, 300: 172_800}
"""Seconds of each step that is kept, and the seconds for which it is."""


class Spread(msgspec.Struct, frozen=True):
    """How long things took: the sum in seconds, and how many fell into each bucket of `BOUNDS`."""

    total: float = 0.0
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    def quantile(self, share: float) -> float | None:
        """The seconds that `share` (0 to 1) of them took at most, as far as the buckets tell."""
        wanted, seen, low = share * self.count, 0, 0.0
        for number, high in zip(self.buckets, (*BOUNDS, BOUNDS[-1] * 3), strict=True):
            if number and seen + number >= wanted:
                return low + (high - low) * (wanted - seen) / number
            seen, low = seen + number, high
        return None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What went through a queue from `at` on, for one step.

    Attributes:
        submitted: jobs that were taken in, outside of a caller's own transaction.
        started: deliveries that were claimed.
        succeeded, failed, cancelled: jobs that ended so, as their workers told; failed also where
            no worker could tell. What people cancel is not among them.
        retried: attempts that failed and will be followed by another.
        wait: from when a job was due until it was claimed.
        run: from a claim until the delivery's end, as far as its own worker told of it.
    """

    at: datetime
    queue: str
    submitted: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    retried: int = 0
    wait: Spread = Spread()
    run: Spread = Spread()


def merged(spreads: Iterable[Spread]) -> Spread:
    """Several spreads as one."""
    known = list(spreads)
    if not known:
        return Spread()
    buckets = zip(*(one.buckets for one in known), strict=True)
    return Spread(sum(one.total for one in known), tuple(map(sum, buckets)))
