"""The results pages: what was done to each deployment, and what came of it.

Each part is written between two marks of a page, from all results that are kept.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from chaos import points, results
from chaos.figures import ZERO, figures
from chaos.peers import contest
from chaos.peers.contest import Result
from chaos.plants import runner as plants
from chaos.plants.runner import Verdict
from chaos.points import Report
from chaos.results import Outcome
from chaos.stage import DEPLOYMENTS

PAGES: Final = Path(__file__).parents[1] / "docs" / "explanation"


class Part(NamedTuple):
    """A part of a page, and what it is called in the marks round it."""

    page: Path
    name: str
    text: str


def parts() -> Iterator[Part]:
    """What there are results of."""
    marches = points.load()
    if outcomes := results.load():
        yield Part(PAGES / "proof.md", "results", report(outcomes, contest.load(), marches))
    if verdicts := plants.load():
        yield Part(PAGES / "planted.md", "planted faults", _planted(verdicts))
    if marches:
        yield Part(PAGES / "planted.md", "crash points", _points(marches))


def report(outcomes: list[Outcome], others: list[Result], marches: Sequence[Report] = ()) -> str:
    """All results, as a part of a page."""
    parts = [
        _whence(outcomes),
        "### What it must show\n",
        table(
            ("", "measured", "bar", ""),
            [
                (one.what, one.value, one.bar, "yes" if one.clears else "**no**")
                for one in figures(outcomes, marches)
            ],
        ),
        "### Counters\n",
        table(("", *DEPLOYMENTS), _counters(outcomes)),
        *_others(others),
        "### Faults, and jobs in flight at them\n",
        "How often each was injected / how many deliveries ran on what it struck.\n",
        table(("fault", *DEPLOYMENTS), _faults(outcomes)),
        "### Every run\n",
        table(("scenario", "seed", "jobs", "faults", "exposed", "again", "s", ""), _runs(outcomes)),
    ]
    return "\n".join(parts)


def marks(name: str) -> tuple[str, str]:
    """The lines before and behind a part of this name."""
    return f"<!-- {name}: written by chaos/report.py -->", f"<!-- end of {name} -->"


def write(part: Part) -> None:
    """Put it between its marks.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = marks(part.name)
    before, begun, rest = part.page.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{part.page} has no lines {begin} and {end}")
    part.page.write_text(f"{before}{begin}\n\n{part.text}\n{end}{after}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _whence(outcomes: list[Outcome]) -> str:
    first, last = outcomes[0].began, outcomes[-1].began
    seconds = sum(one.seconds for one in outcomes)
    return (
        f"{len(outcomes)} runs in {seconds / 60:.0f} minutes, from {first} to {last}, "
        f"on {_where(outcomes)}.\n"
    )


def _where(made: Sequence[Outcome | Verdict | Report]) -> str:
    """Machines and states of the code."""
    machines = ", ".join(sorted({one.machine for one in made}))
    commits = ", ".join(f"`{name}`" for name in sorted({one.commit for one in made}))
    return f"{machines}; code {commits}"


def _counters(outcomes: list[Outcome]) -> Iterator[list[str]]:
    def row(what: str, count: Counter[str]) -> list[str]:
        return [what, *(f"{count[name]:,}" for name in DEPLOYMENTS)]

    def counted(what: str) -> list[str]:
        counts: Counter[str] = Counter()
        for one in outcomes:
            counts[one.deployment] += one.judgement.counts[what]
        return row(what, counts)

    def summed(what: str, of: dict[int, int]) -> list[str]:
        counts: Counter[str] = Counter()
        for one in outcomes:
            counts[one.deployment] += of[id(one)]
        return row(what, counts)

    yield summed("runs", {id(one): 1 for one in outcomes})
    for what in ("acknowledged", "done", "refused", "unknown", "recovered"):
        yield counted(what)
    faults = {id(one): sum(one.judgement.faults.values()) for one in outcomes}
    yield summed("faults", faults)
    exposed = {id(one): sum(one.judgement.exposures.values()) for one in outcomes}
    yield summed("jobs in flight at faults", exposed)
    for what in ("explained duplicates", "late endings refused", "effects refused"):
        yield counted(what)
    for kind, called in ZERO.items():
        yield summed(f"**{called}**", {id(one): one.judgement.anomalies[kind] for one in outcomes})
    others = {
        id(one): sum(one.judgement.anomalies.values())
        - sum(one.judgement.anomalies[kind] for kind in ZERO)
        for one in outcomes
    }
    yield summed("**all other anomalies**", others)
    lost = {id(one): one.judgement.tolerated["lost"] for one in outcomes}
    yield summed("lost to a power failure of Valkey alone", lost)


def _others(others: list[Result]) -> Iterator[str]:
    """The other systems, and what they were set to."""
    if not others:
        return
    yield "### Others, under the same faults\n"
    yield (
        f"{contest.KILLS} times a third of the workers is killed and replaced; {contest.RESTARTS} "
        "times the server is killed and started again (Valkey with its append-only file, "
        "PostgreSQL with an immediate stop); then, where there is a Valkey, `FLUSHALL` "
        f"while {contest.BACKLOG:g} s of jobs wait. The jobs "
        f"take 0.1 to 1 s, {contest.RATE:g} of them are enqueued in a second. *Lost* are those "
        f"that were acknowledged and not done {contest.REST:g} s after the last fault; of them, "
        "some would have come back later, as the settings tell. *Exposed* ran on what was killed. "
        "It is the time from the kill until an exposed job ran again.\n"
    )
    head = (
        "system",
        "killed: lost / jobs",
        "exposed",
        "ran again",
        "restarted: lost / jobs",
        "flushed: lost / jobs",
    )
    yield table((*head, "done twice"), (_contestant(one) for one in others))
    yield table(
        ("system", "version", "settings"), ((one.name, one.version, one.settings) for one in others)
    )


def _contestant(one: Result) -> list[str]:
    killed, restarted = one.parts["workers killed"], one.parts["server restarted"]
    flushed = one.parts.get("FLUSHALL")
    again = sorted(killed.again)
    return [
        one.name,
        f"{killed.lost} / {killed.jobs}",
        str(killed.exposed),
        f"{again[len(again) // 2]:.1f} s, max {again[-1]:.1f} s" if again else "never",
        f"{restarted.lost} / {restarted.jobs}",
        f"{flushed.lost} / {flushed.jobs}" if flushed else "",
        str(sum(part.done_twice for part in one.parts.values())),
    ]


def _faults(outcomes: list[Outcome]) -> Iterator[list[str]]:
    count: Counter[tuple[str, str]] = Counter()
    exposed: Counter[tuple[str, str]] = Counter()
    for one in outcomes:
        for name, number in one.judgement.faults.items():
            count[name, one.deployment] += number
            exposed[name, one.deployment] += one.judgement.exposures[name]
    for name in sorted({name for name, _ in count}):
        cells = (
            f"{count[name, where]:,} / {exposed[name, where]:,}" if count[name, where] else ""
            for where in DEPLOYMENTS
        )
        yield [name, *cells]


def _runs(outcomes: list[Outcome]) -> Iterator[list[str]]:
    for one in outcomes:
        judgement = one.judgement
        found = ", ".join(f"{kind} {count}" for kind, count in judgement.anomalies.items())
        yield [
            f"{one.scenario} on {one.deployment}",
            str(one.seed),
            f"{judgement.counts['acknowledged']:,}",
            str(sum(judgement.faults.values())),
            f"{sum(judgement.exposures.values()):,}",
            f"{judgement.counts['explained duplicates']:,}",
            f"{one.seconds:.0f}",
            f"**{found}** (`{one.commit}`)" if found else "good",
        ]


# -- the harness itself --------------------------------------------------------------------------


def _planted(verdicts: list[Verdict]) -> str:
    """What came of the planted faults."""
    said = plants.summary(verdicts)
    return f"{said[0].upper()}{said[1:]}. On {_where(verdicts)}.\n\n{plants.table(verdicts)}"


def _points(marches: list[Report]) -> str:
    """What came of the crash points: in all, by verb, and those that do not pass."""
    singles = [one for one in marches if not one.pairs]
    head = ("deployment", "points that pass", "kills", "jobs", "anomalies", "s")
    parts = [f"On {_where(marches)}.\n", table(head, map(_march, marches))]
    if singles:
        parts += ["Of them, by who makes which call:\n", points.table(singles), ""]
    failed = [line for one in marches if not one.good for line in one.told().splitlines()[1:]]
    if failed:
        parts += ["What does not pass:\n", *(f"- {line.strip()}" for line in failed), ""]
    return "\n".join(parts)


def _march(one: Report) -> list[str]:
    passed = sum(point.passes for point in one.points)
    return [
        f"{one.deployment}{', pairs' if one.pairs else ''}",
        f"{passed} of {len(one.points)}",
        f"{one.kills:,}",
        f"{one.jobs:,}",
        str(sum(one.anomalies.values())),
        f"{one.seconds:.0f}",
    ]
