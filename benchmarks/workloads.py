"""All that is measured, by name, in the order in which it is run."""

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.backlog import backlog
from benchmarks.distance import distance
from benchmarks.footprint import cost, idle, memory
from benchmarks.latency import burn, naps, pickup
from benchmarks.throughput import drain, enqueue
from benchmarks.turn import Reading, Turn

ALL: Final[dict[str, Callable[[Turn], Iterator[Reading]]]] = {
    function.__name__: function
    for function in (drain, enqueue, pickup, naps, burn, distance, memory, idle, cost, backlog)
}

SHORT: Final = ("drain", "enqueue", "pickup", "naps", "memory")
"""Those of the short form."""

ONCE: Final = frozenset({"memory", "idle", "cost", "backlog"})
"""Those whose figures hardly change from round to round: the first round is enough."""

STATEMENTS: Final = frozenset({"cost", "idle"})
"""Those that need PostgreSQL to count statements, which costs it a little."""
