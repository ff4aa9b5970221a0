"""The results page: what was done to each deployment, and what came of it.

It is written between two marks of a page, from all results that are kept.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from chaos.figures import ZERO, figures
from chaos.peers import contest
from chaos.peers.contest import Result
from chaos.results import Outcome
from chaos.stage import DEPLOYMENTS

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "proof.md"
BEGIN: Final = "<!-- results: written by chaos/report.py -->"
END: Final = "<!-- end of the results -->"


def report(outcomes: list[Outcome], others: list[Result]) -> str:
    """All results, as a part of a page."""
    parts = [
        _whence(outcomes),
        "### What it must show\n",
        table(
            ("", "measured", "bar", ""),
            [
                (one.what, one.value, one.bar, "yes" if one.clears else "**no**")
                for one in figures(outcomes)
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


def write(text: str, page: Path = PAGE) -> None:
    """Put it between the marks of the page.

    Raises:
        ValueError: the page has no such marks.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _whence(outcomes: list[Outcome]) -> str:
    machines = ", ".join(sorted({one.machine for one in outcomes}))
    commits = ", ".join(f"`{name}`" for name in sorted({one.commit for one in outcomes}))
    first, last = outcomes[0].began, outcomes[-1].began
    seconds = sum(one.seconds for one in outcomes)
    return (
        f"{len(outcomes)} runs in {seconds / 60:.0f} minutes, from {first} to {last}, "
        f"on {machines}; code {commits}.\n"
    )


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
