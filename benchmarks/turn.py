"""One system's turn in one round, and what it gives: readings."""

from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from benchmarks.ground import Ground
from benchmarks.ledger import Spans
from benchmarks.peers.base import Kind
from benchmarks.stand import Stand, stand
from benchmarks.systems import System

LEAST_JOBS: Final = 300
MOST_JOBS: Final = 200_000
"""Jobs of one measurement, whatever the pace."""


class Reading(NamedTuple):
    """One figure, and how it came about."""

    measure: str
    value: float
    detail: dict[str, Any]


class Turn:
    """One system's turn in one round: its servers, and what is known of its pace.

    Attributes:
        full: measure everything, and longer.
        first: this is the first round: what is not in the headlines is measured, too.
    """

    def __init__(
        self,
        system: System,
        ground: Ground,
        known: dict[str, Any],
        *,
        full: bool,
        first: bool = True,
    ) -> None:
        """`known` is kept from one turn of a system to its next."""
        self.system = system
        self.ground = ground
        self.full = full
        self.first = first
        self._known = known

    def stand(self) -> AbstractContextManager[Stand]:
        """The system on an empty store."""
        return stand(self.ground, self.system)

    @property
    def abilities(self) -> dict[str, Any]:
        """What the system can do, asked once; see `benchmarks.produce`."""
        if "abilities" not in self._known:
            with self.stand() as one:
                self._known["abilities"] = one.abilities
        abilities: dict[str, Any] = self._known["abilities"]
        return abilities

    @property
    def kind(self) -> Kind:
        """The kind of functions that the system runs faster."""
        kind: Kind = self.abilities["kinds"][0]
        return kind

    def pace(self, measure: str) -> float | None:
        """The latest reading of that measure, in an earlier round too."""
        return self._known.get(measure)

    def learn(self, reading: Reading) -> Reading:
        """Keep a reading for `pace`."""
        self._known[reading.measure] = reading.value
        return reading


def jobs_for(seconds: float, rate: float) -> int:
    """How many jobs take about so long at this rate, within the limits."""
    return max(LEAST_JOBS, min(MOST_JOBS, int(rate * seconds)))


def seen(spans: Spans, numbers: range) -> dict[str, Any]:
    """What is told of every figure: how many jobs were done, and how many were not, or twice."""
    return {
        "jobs": spans.done,
        "missing": len(numbers) - spans.done,
        "duplicates": spans.duplicates,
    }
