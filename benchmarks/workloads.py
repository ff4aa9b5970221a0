"""All that is measured, by name, in the order in which it is run."""

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.backlog import backlog
from benchmarks.distance import distance
from benchmarks.footprint import cost, idle, memory
from benchmarks.latency import burn, naps, pickup
from benchmarks.systems import System
from benchmarks.throughput import drain, enqueue
from benchmarks.turn import Reading, Turn

ALL: Final[dict[str, Callable[[Turn], Iterator[Reading]]]] = {
    function.__name__: function
    for function in (drain, enqueue, pickup, naps, burn, distance, memory, idle, cost, backlog)
}

SHORT: Final = ("drain", "enqueue", "pickup", "naps", "memory")
"""Those of the short form."""

EACH_ROUND: Final = frozenset({"drain", "enqueue", "pickup", "naps"})
"""The headlines. The first round is enough for the others, which are long or hardly change."""

OWN_EACH_ROUND: Final = EACH_ROUND | {"distance", "idle"}
"""Those of Ferryman that something is demanded of in each round."""

STATEMENTS: Final = frozenset({"cost", "idle"})
"""Those that need PostgreSQL to count statements, which costs it a little."""


def due(name: str, system: System, number: int) -> bool:
    """Whether a workload is run for this system in this round."""
    return number == 1 or name in (OWN_EACH_ROUND if system.own else EACH_ROUND)
