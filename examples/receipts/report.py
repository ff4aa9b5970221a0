"""What the demo shows: the work as it goes on, what was read, and which promises held."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.receipts.run import Order, Run
from examples.receipts.score import FIELDS, agree
from ferryman import JobState, Reason

ENOUGH = 11 / 12
"""The share of merchants, dates and totals that must be right."""

RECOVERY_LIMIT = {"child": 1.0, "worker": 15.0}
"""Seconds in which every job that was killed is back in its queue: the death of a child is seen at
once, that of a whole worker when its lease ends, after 10 s."""

Truths = Mapping[str, Mapping[str, Any]]


def introduce(console: Console, run: Run, concurrency: int) -> None:
    """Say what is about to happen."""
    high = sum(order.high for order in run.orders)
    console.print(
        f"Enqueued {len(run.orders)} jobs, {high} of them with high priority. One file is no "
        f"picture, one upload\nis not finished yet, and {run.orders[0].id} was enqueued twice.\n"
        f"Now a worker reads {concurrency} at a time"
        + (f", and the {run.kill} will be killed.\n" if run.kill else ".\n"),
        highlight=False,
        soft_wrap=True,
    )


# -- while it goes on ------------------------------------------------------------------------


@contextmanager
def live(console: Console, run: Run) -> Iterator[None]:
    """Show the run while it goes on; where there is no terminal, only how it ended."""
    if console.is_terminal:
        with Live(get_renderable=lambda: _now(run), console=console, refresh_per_second=8):
            yield
    else:
        yield
        console.print(_now(run))
    console.print()


def _now(run: Run) -> RenderableType:
    total = len(run.orders)
    ended = sum(job.state.terminal for job in run.jobs.values())
    figures = "  ".join(f"{run.count(state)} {state}" for state in JobState if run.count(state))
    bar = Table.grid(padding=(0, 1))
    bar.add_row(ProgressBar(total, ended, width=40), f"{ended}/{total}", f"{run.seconds:.0f} s")
    waiting = all(job.state is JobState.QUEUED for job in run.jobs.values())
    start = "  (the worker starts, and loads an engine in each child process)" if waiting else ""
    lines = [Text(figures + start, style="dim")]
    for job in run.jobs.values():
        if job.state is JobState.RUNNING and job.progress and job.progress.total:
            step, steps = int(job.progress.current) + 1, int(job.progress.total)
            lines.append(Text(f"  {job.id}  {step}/{steps} {job.progress.message}"))
    return Group(bar, *lines)


# -- afterwards ------------------------------------------------------------------------------


def conclude(console: Console, run: Run, truths: Truths, folder: Path) -> int:
    """Show what came of it; the exit code: 1 if a promise is broken."""
    right = _show_readings(console, run, truths)
    _show_history(console, run)
    promises = [*_promises(run), *_accuracy(right)]
    for promise, held in promises:
        verdict = "[green]  kept[/]" if held else "[red]BROKEN[/]"
        console.print(f"{verdict}  {promise}", highlight=False, soft_wrap=True)
    _show_recovery(console, run)
    console.print(f"\n{len(run.orders)} jobs in {run.seconds:.1f} s.")
    _show_what_to_try(console, folder)
    return 0 if all(held for _, held in promises) else 1


def _show_readings(console: Console, run: Run, truths: Truths) -> dict[str, list[bool]]:
    """The table of what was read against the truth; returns what was right, field by field."""
    table = Table("receipt", "", "merchant", "date", "total", "", "right", "starts", "", box=None)
    right: dict[str, list[bool]] = {name: [] for name in FIELDS}
    readings = run.ledger.readings()
    for order in run.orders:
        truth = truths.get(order.path.name)
        if truth is None:
            continue
        reading = readings.get(order.id)
        found = asdict(reading) if reading else dict.fromkeys(FIELDS)
        fits = agree(found, truth)
        for name in FIELDS:
            right[name].append(fits[name])
        table.add_row(
            order.id.removeprefix("receipt-"),
            order.priority if order.high else "",
            *(_cell(found[name], truth[name], fits[name]) for name in FIELDS),
            f"{sum(fits.values())}/{len(FIELDS)}",
            f"{run.jobs[order.id].deliveries}",
            "" if reading and not reading.needs_review else "[yellow]review",
        )
    console.print(table)
    return right


def _cell(found: str | None, truth: str, fits: bool) -> str:
    return f"{found}" if fits else f"[red]{found}[/] [dim]not {truth}[/]"


def _show_history(console: Console, run: Run) -> None:
    for job in run.jobs.values():
        if job.state is JobState.FAILED and job.failure:
            console.print(
                f"\nDead letter: [bold]{job.id}[/], {job.reason} after attempt {job.attempts}\n"
                f"  {job.failure.kind.rpartition('.')[2]}: {job.failure.message}",
                soft_wrap=True,
            )
    for order in run.orders:
        if order.late:
            console.print(f"\nThe upload that came late: [bold]{order.id}[/]")
            for event in run.events[order.id]:
                moment = f"{event.at:%H:%M:%S.%f}"[:-3]
                console.print(f"  {moment}  {event.target:<10} {event.reason}", highlight=False)
    console.print()


def _show_recovery(console: Console, run: Run) -> None:
    if run.killed and run.victims():
        console.print(
            f"\nKilled the {run.killed.what}, at work on {' and '.join(run.victims())}.\n"
            f"Back in the queue after [bold]{run.back_after(Reason.LEASE_LOST):.2f} s[/], "
            f"claimed after {run.back_after(Reason.CLAIMED):.2f} s,\n"
            f"read again after {run.read_again_after():.2f} s, when a process had loaded its "
            "models.",
            highlight=False,
            soft_wrap=True,
        )


def _promises(run: Run) -> Iterator[tuple[str, bool]]:
    broken = [order for order in run.orders if order.path.name == "broken.jpg"]
    good = [order for order in run.orders if order not in broken]
    stored = run.stored()
    lost = [order.id for order in good if run.jobs[order.id].state is not JobState.SUCCEEDED]
    yield f"nothing is lost: {len(good) - len(lost)} of {len(good)} receipts were read", not lost
    once = [order.id for order in good if stored[order.id] == 1]
    yield (
        f"exactly once: {len(once)} of {len(good)} were stored one time, none more often",
        (len(once) == len(good) and set(stored) == set(once)),
    )
    yield (
        "an enqueue that is repeated with the same id is the same job",
        (run.duplicate_created is False),
    )
    yield (
        "high priority goes first",
        (max(run.first_claims(high=True)) <= min(run.first_claims(high=False))),
    )
    yield (
        "the broken file is a dead letter after one attempt, with its reason",
        all(_is_permanent(run, order) for order in broken),
    )
    yield (
        "the late upload was tried again, and read",
        all(run.jobs[order.id].attempts >= 1 for order in good if order.late),
    )
    if run.kill:
        limit = RECOVERY_LIMIT[run.kill]
        yield (
            f"what was killed is back in the queue within {limit:.0f} s",
            (bool(run.victims()) and run.back_after(Reason.LEASE_LOST) <= limit),
        )
    yield "no process is left behind", run.left_behind == 0


def _is_permanent(run: Run, order: Order) -> bool:
    job = run.jobs[order.id]
    return job.reason is Reason.PERMANENT and job.attempts == 1


def _accuracy(right: Mapping[str, list[bool]]) -> Iterator[tuple[str, bool]]:
    """The score, as one promise: merchants, dates and totals are read right."""
    figures = ", ".join(f"{name} {sum(fits)} of {len(fits)}" for name, fits in right.items())
    shares = [sum(right[name]) / len(right[name]) for name in ("merchant", "date", "total")]
    yield f"read right: {figures}", min(shares) >= ENOUGH


def _show_what_to_try(console: Console, folder: Path) -> None:
    lines = [
        "",
        "[bold]What to try next[/]",
        "  make demo KILL=1           kills a child process in the middle of a receipt",
        "  .venv/bin/python -m examples.receipts.demo --kill worker --store valkey",
    ]
    jobs = folder / "jobs.db"
    if jobs.exists():
        lines += [
            "  Look at this run from the command line, mend the broken file, and try it again:",
            f"    export FERRYMAN_DATABASE_URL=sqlite:///{jobs}",
            "    .venv/bin/ferryman jobs list",
            "    .venv/bin/ferryman jobs show receipt-broken",
            f"    cp {folder}/pictures/00.jpg {folder}/pictures/broken.jpg",
            "    .venv/bin/ferryman dead-letters retry receipt-broken",
            "    .venv/bin/ferryman worker examples.receipts.app:app --burst",
        ]
    lines += ["  Read examples/receipts/app.py: that is all that an application needs."]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
