"""Results: what each run came to, kept as JSON below the working directory."""

import os
import platform
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from chaos.checker import Judgement
from chaos.measures import Measures

KEPT: Final = Path(".chaos")
"""Where results, and the histories of failed runs, are kept."""

RESULTS: Final = KEPT / "results"

Kind = TypeVar("Kind", bound=msgspec.Struct)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to.

    Attributes:
        again: the command that repeats it.
        kept: where the history of a failed run is.
        machine, commit, began: where, of which state of the code, and when it was run.
    """

    scenario: str
    deployment: str
    seed: int
    seconds: float
    again: str
    judgement: Judgement
    measures: Measures
    kept: str = ""
    machine: str = ""
    commit: str = ""
    began: str = ""

    def told(self) -> str:
        """The run in a few lines: one where it was good."""
        judgement = self.judgement
        counts = judgement.counts
        line = (
            f"{'ok  ' if judgement.good else 'FAIL'} {self.deployment:<18} {self.scenario:<30} "
            f"{counts['acknowledged']:>7} jobs {sum(judgement.faults.values()):>4} faults "
            f"{sum(judgement.exposures.values()):>6} exposed "
            f"{counts['explained duplicates']:>5} explained "
            f"{sum(judgement.tolerated.values()):>4} tolerated {self.seconds:>6.1f} s"
        )
        if judgement.good:
            return line
        examples = [f"  {kind}: {one}" for kind, some in judgement.examples.items() for one in some]
        where = f"  history: {self.kept}"
        return "\n".join([line, *examples, where, f"  again: {self.again}"])

    def save(self) -> Path:
        """Keep it; returns where."""
        name = f"{self.deployment} {self.scenario} {self.seed} {self.began}".replace(":", "")
        return save(self, RESULTS / f"{name}.json")


def load(folder: Path = RESULTS) -> list[Outcome]:
    """All that were kept, the oldest first."""
    return sorted(load_all(folder, Outcome), key=lambda one: one.began)


def save(what: msgspec.Struct, path: Path) -> Path:
    """Keep it in a file, whose name will have no spaces, in place of an older one; returns that."""
    path = path.with_name(path.name.replace(" ", "-"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(what), indent=1))
    return path


def load_all(folder: Path, kind: type[Kind]) -> list[Kind]:
    """What is kept in a folder, in the order of its names."""
    return [
        msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=_counter)
        for path in sorted(folder.glob("*.json"))
    ]


def _counter(kind: type, value: Any) -> Any:
    return Counter(value)


def machine() -> str:
    """The machine in a few words."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    system = f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"


def commit() -> str:
    """The state of the code; with a plus sign if it was changed since."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    return told.stdout.strip()
