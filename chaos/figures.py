"""Figures: what all runs together must show, next to the bar that each has to clear."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from chaos.measures import Samples
from chaos.points import Report
from chaos.results import Outcome

HOSTS: Final = "hosts killed"
CHILDREN: Final = "children killed often"
RESTARTS: Final = ("valkey restarted", "valkey loading", "postgresql stopped at once")
CALM: Final = ("block job", "hold job", "starved", "crowd job", "postgresql connections exhausted")
"""Scenarios in which nothing is dead that looks as if it were."""

ZERO: Final = {
    "lost": "lost",
    "unexpected": "unexpected",
    "phantom": "phantom",
    "stale": "stale writes accepted",
    "effects": "effects twice or too late",
    "unexplained": "unexplained duplicates",
}
"""Kinds of anomaly, as the tables call them."""


class Figure(NamedTuple):
    """One figure: what it is of, its value in words, its bar in words, whether it clears that."""

    what: str
    value: str
    bar: str
    clears: bool


def figures(outcomes: list[Outcome], marches: Sequence[Report] = ()) -> Iterator[Figure]:
    """All that can be told from these runs; those that have no sample are left out.

    Args:
        marches: at the crash points processes were killed, too, and what was found counts.
    """
    jobs = sum(one.judgement.counts["acknowledged"] for one in outcomes)
    kills = sum(count for one in outcomes for count in _kills(one))
    kills += sum(one.kills for one in marches)
    found = Counter[str]()
    for counts in (*(one.judgement.anomalies for one in outcomes), *(m.anomalies for m in marches)):
        found.update(counts)
    yield Figure("acknowledged jobs", f"{jobs:,}", "≥ 1,000,000", jobs >= 1_000_000)
    yield Figure("kills, with those at crash points", f"{kills:,}", "≥ 1,000", kills >= 1000)
    for kind, called in ZERO.items():
        yield Figure(called, f"{found[kind]}", "0", not found[kind])
    others = sum(count for kind, count in found.items() if kind not in ZERO)
    yield Figure("all other anomalies", f"{others}", "0", others == 0)
    yield from _times(outcomes)
    yield from _zombies(outcomes)
    yield from _memory(outcomes)
    yield from _stalls(outcomes)


def _kills(outcome: Outcome) -> Iterator[int]:
    """Faults that kill processes of workers."""
    for name, count in outcome.judgement.faults.items():
        if "killed" in name and "clients" not in name:
            yield count


def _times(outcomes: list[Outcome]) -> Iterator[Figure]:
    def of(
        scenarios: Iterable[str], samples: Callable[[Outcome], Samples], fault: str
    ) -> list[float]:
        names = set(scenarios)
        return sorted(
            seconds
            for one in outcomes
            if not names or one.scenario in names
            for seconds in samples(one).get(fault, [])
        )

    again = of([HOSTS], lambda one: one.judgement.again, "tree killed")
    yield from _time("job of a killed host runs again", again, p99=12.0, most=15.0)
    children = of([CHILDREN], lambda one: one.measures.handed_back, "children killed")
    yield from _time("job of a killed child is handed back", children, most=1.0)
    children = of([CHILDREN], lambda one: one.judgement.again, "children killed")
    yield from _time("job of a killed child runs again", children, p99=1.0)
    for fault in RESTARTS:
        resumed = of([fault, "endurance"], lambda one: one.measures.resumed, fault)
        yield from _time(f"claims resume ({fault})", resumed, most=5.0)
    for server in ("valkey", "postgresql"):
        fault = f"{server} half open"
        noticed = of([fault], lambda one: one.measures.noticed, fault)
        yield from _time(f"half-open link noticed ({server})", noticed, most=10.0)


def _time(
    what: str, seconds: list[float], *, p99: float | None = None, most: float | None = None
) -> Iterator[Figure]:
    if not seconds:
        return
    late = seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]
    median = seconds[len(seconds) // 2]
    value = f"median {median:.2f} s, p99 {late:.2f} s, max {seconds[-1]:.2f} s of {len(seconds):,}"
    bars = [f"p99 ≤ {p99:g} s"] if p99 is not None else []
    bars += [f"max ≤ {most:g} s"] if most is not None else []
    clears = (p99 is None or late <= p99) and (most is None or seconds[-1] <= most)
    yield Figure(what, value, ", ".join(bars), clears)


def _zombies(outcomes: list[Outcome]) -> Iterator[Figure]:
    some = [one for one in outcomes if one.measures.zombies]
    if some:
        zombies = sum(one.measures.zombies for one in some)
        writes = sum(one.measures.zombie_writes for one in some)
        stale = sum(one.judgement.anomalies["stale"] for one in some)
        value = f"{stale} of {zombies:,} that woke up, which tried {writes:,} writes"
        clears = stale == 0 and zombies >= 200
        yield Figure("stale writes accepted from zombies", value, "0 of ≥ 200", clears)


def _memory(outcomes: list[Outcome]) -> Iterator[Figure]:
    for one in outcomes:
        rates = one.measures.rates
        if one.scenario == "maxmemory" and rates:
            normal, full = (sum(rates[name]) for name in ("normal", "at maxmemory"))
            share = full / normal
            value = f"{share:.0%} of {normal / len(rates['normal']):,.0f} a second"
            yield Figure(
                f"completions at maxmemory ({one.deployment})", value, "≥ 90 %", share >= 0.9
            )


def _stalls(outcomes: list[Outcome]) -> Iterator[Figure]:
    for scenario in CALM:
        some = [one for one in outcomes if one.scenario == scenario]
        if some:
            lost = sum(one.measures.leases_lost for one in some)
            unexplained = sum(one.judgement.anomalies["unexplained"] for one in some)
            jobs = sum(one.judgement.counts["acknowledged"] for one in some)
            value = f"{lost} leases lost, {unexplained} unexplained, in {jobs:,} jobs"
            clears = not lost and not unexplained
            yield Figure(f"false stalls ({scenario})", value, "0", clears)
