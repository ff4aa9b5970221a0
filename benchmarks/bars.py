"""What the figures must show, and whether they do."""

from dataclasses import dataclass
from typing import Any, Final

from benchmarks import systems
from benchmarks.figures import Spread
from benchmarks.readings import Readings

REDIS: Final = tuple(
    name for name, one in systems.ALL.items() if one.kind == "valkey" and not one.own
)
OWN: Final = tuple(name for name, one in systems.ALL.items() if one.own)


@dataclass(frozen=True)
class Bar:
    """One demand.

    Attributes:
        what: it is about, for the table.
        system: whose reading.
        measure: which.
        bar, aim: what it must reach, and what it should; `None` is: only the figure is asked for.
        against: the systems with whose best it is compared; none is: the reading itself counts.
        lowest: less is better.
        form: how the figure is written.
    """

    what: str
    system: str
    measure: str
    bar: float | None
    aim: float
    against: tuple[str, ...] = ()
    lowest: bool = False
    form: str = "{:.2f} ×"


@dataclass(frozen=True)
class Verdict:
    """What was found of one bar."""

    bar: Bar
    peer: str
    found: Spread

    @property
    def word(self) -> str:
        """`aim`, `bar` or `missed`."""
        if self._reaches(self.bar.aim):
            return "aim"
        return "bar" if self.bar.bar is None or self._reaches(self.bar.bar) else "missed"

    def _reaches(self, limit: float) -> bool:
        return self.found.median <= limit if self.bar.lowest else self.found.median >= limit


def _each(what: str, names: tuple[str, ...], measure: str, **limits: Any) -> list[Bar]:
    return [Bar(f"{what}, {name}", name, measure, **limits) for name in names]


VALKEY: Final = "ferryman-valkey"
HYBRID: Final = "ferryman-hybrid"
POSTGRES: Final = "ferryman-postgresql"
SQLITE: Final = "ferryman-sqlite"

_SHARE: Final = "{:.1%}"

ALL: Final = (
    Bar("drain no-op, 1 process, best Redis peer", VALKEY, "drain", 5, 10, REDIS),
    Bar("bulk enqueue, best Redis peer", VALKEY, "enqueue.bulk", 4, 8, REDIS),
    Bar("100 concurrent enqueues, best Redis peer", VALKEY, "enqueue.concurrent", 2, 5, REDIS),
    Bar("one at a time, async, best Redis peer", VALKEY, "enqueue.one.async", 1.0, 1.3, REDIS),
    Bar("one at a time, sync, best Redis peer", VALKEY, "enqueue.one.sync", 1.0, 1.3, REDIS),
    Bar("pick-up idle p50, best Redis peer", VALKEY, "pickup.idle.p50", 1.0, 0.7, REDIS, True),
    Bar("pick-up idle p99, best Redis peer", VALKEY, "pickup.idle.p99", 1.0, 0.7, REDIS, True),
    *_each("2,000 × 50 ms, of the ideal", OWN, "naps.share", bar=0.9, aim=0.97, form=_SHARE),
    *_each(
        "KiB of Valkey per 1,000 queued", (VALKEY,), "memory.queued.valkey",
        bar=150, aim=100, lowest=True, form="{:.0f}",
    ),
    Bar("drain against PgQueuer", POSTGRES, "drain", 1.0, 1.5, ("pgqueuer",)),
    Bar("drain against Procrastinate", HYBRID, "drain", 10, 30, ("procrastinate",)),
    Bar("drain against PostgreSQL only", HYBRID, "drain", 0.8, 1.2, (POSTGRES,)),
    Bar("drain on SQLite, jobs/s", SQLITE, "drain", None, 5000, form="{:,.0f}"),
    *_each(
        "claim at 1,000,000 queued against 1,000", OWN, "backlog.growth",
        bar=1.5, aim=1.1, lowest=True,
    ),
    *_each(
        "drain with 1 ms added each way, share", (VALKEY, POSTGRES, HYBRID), "distance.share",
        bar=0.6, aim=0.9, form=_SHARE,
    ),
    *_each(
        "idle worker and servers, of a core", OWN, "idle.cpu",
        bar=1.0, aim=0.3, lowest=True, form="{:.2f} %",
    ),
)  # fmt: skip


def judged(readings: Readings) -> list[Verdict]:
    """All bars that this run says something about."""
    verdicts = []
    for bar in ALL:
        peer = readings.best(bar.against, bar.measure, lowest=bar.lowest) if bar.against else None
        if bar.against:
            found = readings.ratio(bar.system, peer, bar.measure) if peer else None
        else:
            found = readings.spread(bar.system, bar.measure)
        if found is not None:
            verdicts.append(Verdict(bar, peer or "", found))
    return verdicts
