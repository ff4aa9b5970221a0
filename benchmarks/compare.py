"""Ferryman and other systems, side by side: the same work on the same servers, in turn.

python -m benchmarks.compare [--full] [--only NAME,…] [--workload NAME,…] [--rounds N]
"""

import argparse
import json
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import environments, ground, noise, plot, report, systems, workloads
from benchmarks.readings import Readings
from benchmarks.stand import Failed
from benchmarks.turn import Turn

_BEGAN = time.monotonic()


class Record:
    """All readings of a run, kept in a file as they come."""

    def __init__(self, path: Path, **facts: Any) -> None:
        self._path = path
        self.content: dict[str, Any] = {
            **facts,
            "settings": {},
            "noise": [],
            "readings": [],
            "failures": [],
        }

    def add(self, kind: str, entry: Any) -> None:
        """Keep one more entry."""
        self.content[kind].append(entry)
        self._path.write_text(json.dumps(self.content, indent=1))


def run(record: Record, names: list[str], chosen: list[str], rounds: int, full: bool) -> None:
    """Every system in turn, round after round."""
    known: dict[str, dict[str, Any]] = {name: {} for name in names}
    for number in range(1, rounds + 1):
        for name in names:
            system = systems.ALL[name]
            record.add("noise", {"system": name, "round": number, **noise.calibration()})
            wanted = [one for one in chosen if workloads.due(one, system, number)]
            for counting in (False, True):
                some = [one for one in wanted if (one in workloads.STATEMENTS) == counting]
                if not some:
                    continue
                with ground.Ground(system, statements=counting) as place:
                    turn = Turn(system, place, known[name], full=full, first=number == 1)
                    if _known(record, turn):
                        for workload in some:
                            _measure(record, turn, workload, number)


def _known(record: Record, turn: Turn) -> bool:
    """Whether the system can be run here at all; its settings are kept."""
    name = turn.system.name
    if name in record.content["settings"]:
        return True
    if any(
        one["system"] == name and one["workload"] == "start" for one in record.content["failures"]
    ):
        return False
    try:
        record.content["settings"][name] = turn.abilities["settings"]
    except (environments.Unavailable, Failed) as error:
        _failed(record, turn, "start", error)
        return False
    return True


def _measure(record: Record, turn: Turn, workload: str, number: int) -> None:
    name = turn.system.name
    try:
        for reading in workloads.ALL[workload](turn):
            entry = {"system": name, "round": number, **reading._asdict()}
            record.add("readings", entry)
            line = f"{name:24}{reading.measure:24}{reading.value:12,.2f}  {reading.detail}"
            print(f"{time.monotonic() - _BEGAN:5.0f} s  {line}", flush=True)
    except Exception as error:
        # A run of hours goes on without this one.
        _failed(record, turn, workload, error)


def _failed(record: Record, turn: Turn, workload: str, error: Exception) -> None:
    print(f"{turn.system.name}: {workload} failed: {error}", flush=True)
    why = str(error) or repr(error)
    record.add("failures", {"system": turn.system.name, "workload": workload, "why": why})


def _names(text: str, known: Any, what: str, parser: argparse.ArgumentParser) -> list[str]:
    given = [name for part in text.split(",") if (name := part.strip())]
    if unknown := [name for name in given if name not in known]:
        parser.error(f"no {what} is called {', '.join(unknown)}; known are {', '.join(known)}")
    return given


def main() -> None:
    """Measure, keep the readings, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all systems, all workloads")
    parser.add_argument("--only", default="", help="these systems")
    parser.add_argument("--workload", default="", help="these workloads")
    parser.add_argument("--rounds", type=int, default=None, help="2; 5 with --full")
    parser.add_argument("--json", type=Path, default=None, help="where the readings are kept")
    given = parser.parse_args()
    names = _names(given.only, systems.ALL, "system", parser) or list(
        systems.ALL if given.full else systems.SHORT
    )
    chosen = _names(given.workload, workloads.ALL, "workload", parser) or list(
        workloads.ALL if given.full else workloads.SHORT
    )
    moment = datetime.now(UTC)
    path = given.json or Path(f".ferryman/benchmarks/{moment:%Y-%m-%d-%H%M%S}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"at": f"{moment:%Y-%m-%d %H:%M} UTC", "ferryman": version("ferryman")}
    record = Record(path, **facts, machine=ground.description())
    run(record, names, chosen, given.rounds or (5 if given.full else 2), given.full)
    picture = path.with_suffix(".svg")
    readings = Readings(record.content)
    picture.write_text(plot.svg(readings))
    print(f"\n{report.page(readings)}")
    print(f"{time.monotonic() - _BEGAN:.0f} s; readings in {path}, picture in {picture}")


if __name__ == "__main__":
    main()
