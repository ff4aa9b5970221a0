"""The tables of a run as Markdown, and its picture.

    python -m benchmarks.report READINGS.json … [--into PAGE.md] [--svg PICTURE.svg]

Several runs are taken for one of more rounds. `--into` replaces what stands between the two marks
of a page; without it the tables are printed.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import bars, plot, systems
from benchmarks.environments import REQUIREMENTS
from benchmarks.readings import Readings, joined

BEGIN: Final = "<!-- figures: written by benchmarks/report.py -->"
END: Final = "<!-- end of the figures -->"

RATE, MS, SHARE, SMALL = "{:,.0f}", "{:.1f}", "{:.0%}", "{:.2f}"

Column = tuple[str, str, str]

HEADLINES: Final[tuple[Column, ...]] = (
    ("drain", "drain, jobs/s", RATE),
    ("enqueue.one.async", "one at a time, async", RATE),
    ("enqueue.one.sync", "sync", RATE),
    ("enqueue.concurrent", "100 callers", RATE),
    ("enqueue.bulk", "bulk", RATE),
    ("pickup.idle.p50", "pick-up p50, ms", MS),
    ("pickup.idle.p99", "p99, ms", MS),
    ("naps.share", "2,000 × 50 ms, of the ideal", SHARE),
)
TABLES: Final[tuple[tuple[str, tuple[Column, ...]], ...]] = (
    ("Jobs a second taken in and drained, pick-up when idle", HEADLINES),
    (
        "Drained, jobs/s, by kind of function and worker processes",
        tuple(
            (f"drain.{kind}.{number}", f"{kind}, {number}", RATE)
            for kind in ("async", "sync")
            for number in (1, 2)
        ),
    ),
    (
        "Pick-up, ms",
        tuple(
            (f"pickup.{load}.{name}", f"{word} {name}", MS)
            for load, word in (("idle", "idle"), ("load", "half load"))
            for name in ("p50", "p95", "p99")
        ),
    ),
    (
        "Jobs of 20 ms of CPU in two processes, share of the ideal",
        (("burn.share", "share", SHARE),),
    ),
    (
        "Drained with the servers further away, concurrency 100, jobs/s",
        (
            ("distance.near", "near", RATE),
            ("distance.proxy", "through the proxy", RATE),
            ("distance.far", "1 ms each way", RATE),
            ("distance.share", "share of near", SHARE),
        ),
    ),
    (
        "KiB per 1,000 jobs",
        tuple(
            (f"memory.{state}.{server}", f"{state}, {server}", RATE)
            for state in ("queued", "finished")
            for server in ("valkey", "postgresql", "sqlite")
        ),
    ),
    (
        "An idle worker: percent of one core, MiB",
        (
            ("idle.cpu.worker", "worker, %", SMALL),
            ("idle.cpu.servers", "servers, %", SMALL),
            ("idle.cpu", "both, %", SMALL),
            ("idle.memory", "worker, MiB", RATE),
        ),
    ),
    (
        "What one job costs the servers, enqueued by itself",
        tuple(
            (f"cost.enqueue.{name}", name, SMALL)
            for name in ("commands", "reads", "bytes", "statements", "transactions")
        ),
    ),
    (
        "What one job costs the servers while a queue is drained, and CPU in microseconds",
        (
            *(
                (f"cost.drain.{name}", name, SMALL)
                for name in ("commands", "reads", "bytes", "statements", "transactions")
            ),
            ("cost.cpu.worker", "CPU of the worker", RATE),
            ("cost.cpu.servers", "CPU of the servers", RATE),
        ),
    ),
    (
        "Finish 100 and claim 100 with many waiting, ms",
        (
            ("backlog.1000", "1,000", SMALL),
            ("backlog.1000000", "1,000,000", SMALL),
            ("backlog.growth", "growth", "{:.2f} ×"),
        ),
    ),
)


def page(readings: Readings) -> str:
    """All that a run has to say."""
    parts = [_about(readings), _verdicts(readings)]
    parts += [text for title, columns in TABLES if (text := _table(readings, title, columns))]
    parts += [_counting(readings), _settings(readings)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(readings: Readings) -> str:
    content, wall = readings.content, readings.noise("wall_ms")
    machine = ", ".join(f"{name}: {value}" for name, value in content["machine"].items())
    return (
        f"Measured {content['at']}, {readings.rounds} rounds; {machine}. A loop of fixed work, "
        f"timed before each turn, took {statistics.median(wall):.0f} ms ({min(wall):.0f} to "
        f"{max(wall):.0f}). Figures are medians, with the least and the most reading behind them."
    )


def _verdicts(readings: Readings) -> str:
    rows = []
    for verdict in bars.judged(readings):
        bar, found = verdict.bar, verdict.found
        form = bar.form.format
        sign = "≤" if bar.lowest else "≥"
        limit = "–" if bar.bar is None else f"{sign} {form(bar.bar)}"
        reached = f"{form(found.median)} ({form(found.least)} to {form(found.most)})"
        of = verdict.peer or "–"
        rows.append((bar.what, of, reached, limit, f"{sign} {form(bar.aim)}", verdict.word))
    head = ("measure", "against", "found", "bar", "aim", "reached")
    return "### What it must show\n\n" + _rows(head, rows) if rows else ""


def _table(readings: Readings, title: str, columns: Sequence[Column]) -> str:
    shown = [
        column
        for column in columns
        if any(readings.values(system, column[0]) for system in readings.systems)
    ]
    rows = [
        (system, *(_cell(readings, system, measure, form) for measure, _, form in shown))
        for system in readings.systems
        if any(readings.values(system, measure) for measure, _, _ in shown)
    ]
    head = ("system", *(label for _, label, _ in shown))
    return f"### {title}\n\n" + _rows(head, rows) if rows else ""


def _cell(readings: Readings, system: str, measure: str, form: str) -> str:
    found = readings.spread(system, measure)
    if found is None:
        return "–"
    told = form.format(found.median)
    if found.readings == 1:
        return told
    return f"{told} ({form.format(found.least)}–{form.format(found.most)})"


def _counting(readings: Readings) -> str:
    words = {"missing": "not done", "duplicates": "run more than once"}
    lines = [
        f"- {system}: {sum(numbers)} jobs {words[name]}, in {len(numbers)} measurements"
        for system in readings.systems
        for name, numbers in readings.unseen(system).items()
    ]
    lines += [
        f"- {failure['system']}: {failure['workload']} failed: {failure['why'].splitlines()[0]}"
        for failure in readings.content["failures"]
    ]
    told = lines or ["Every job was done, and none was run twice."]
    return "### Counting\n\n" + "\n".join(told)


def _settings(readings: Readings) -> str:
    rows = [
        (name, version(name), settings) for name, settings in readings.content["settings"].items()
    ]
    return "### Settings\n\n" + _rows(("system", "version", "settings"), rows)


def version(name: str) -> str:
    """The release of a system that its requirements pin."""
    system = systems.ALL[name]
    if system.own:
        return "this one"
    wanted = {"taskiq": "taskiq-redis", "docket": "pydocket"}.get(system.peer, system.peer)
    pins = (REQUIREMENTS / f"{system.peer}.txt").read_text().split()
    return next(pin.partition("==")[2] for pin in pins if pin.lower().startswith(f"{wanted}=="))


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def put_into(text: str, figures: str) -> str:
    """A page with these figures between its marks.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page needs two lines, {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{figures}\n{END}{after}"


def main() -> None:
    """Read the readings, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readings", type=Path, nargs="+")
    parser.add_argument("--into", type=Path, default=None)
    parser.add_argument("--svg", type=Path, default=None)
    given = parser.parse_args()
    readings = Readings(joined([json.loads(path.read_text()) for path in given.readings]))
    if given.svg:
        given.svg.write_text(plot.svg(readings))
    if given.into:
        given.into.write_text(put_into(given.into.read_text(), page(readings)))
    else:
        print(page(readings), end="")


if __name__ == "__main__":
    main()
