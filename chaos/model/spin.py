"""Spin: makes a checker of the model, runs it, and tells what it found."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

MODEL: Final = Path(__file__).with_name("hybrid.pml")
MEMORY: Final = 8000
"""MiB that a checker may use."""
DEEPEST: Final = 10_000
"""Steps of one run that a checker follows; that it does not get there is checked."""
ENDLESS: Final = "ENDLESS"
"""What is broken where the model may go on for ever."""

_DEFINED = re.compile(r"#define (\w+) +(\d+) +/\* (.*) \*/")
_BROKEN = re.compile(r"assertion violated .*\(0==\(\d+&(\d+)\)\)")
_FIGURES = {
    "states": re.compile(r"(\d+) states, stored"),
    "depth": re.compile(r"depth reached (\d+)"),
}
_STEP = re.compile(r"^ *(\d+):\tproc +(\d+) \((\w+):\d+\) \S+:(\d+) ", re.MULTILINE)


class Missing(Exception):
    """A program that is needed is not installed."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much may happen in a run of the model; see `hybrid.pml`."""

    jobs: int = 1
    workers: int = 2
    faults: int = 1
    slips: int = 1
    retries: int = 1
    discards: int = 0


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a checker came to.

    Attributes:
        broken: the property that does not hold, or "" where all do.
        states: how many were seen; all that there are, if nothing is broken.
        depth: the steps of the longest run.
        story: the actions that lead to what is broken, where they were asked for.
    """

    broken: str
    states: int
    depth: int
    seconds: float
    story: tuple[str, ...] = ()


def check(
    bounds: Bounds,
    planted: tuple[str, ...] = (),
    watched: tuple[str, ...] | None = None,
    *,
    story: bool = False,
) -> Checked:
    """Try all that can happen within bounds, or as much as shows that something is broken.

    Args:
        planted: faults in the protocol.
        watched: what must not come true; all but `ENDLESS` where nothing is said.
        story: tell how it comes true, in as few steps as can be found.

    Raises:
        Missing: spin or a C compiler is not there.
        RuntimeError: the checker could not finish.
    """
    endless = watched == (ENDLESS,)
    given = [f"-D{name.upper()}={value}" for name, value in msgspec.structs.asdict(bounds).items()]
    given += [f"-DPLANTED={sum(number_of(name) for name in planted)}"]
    if watched is not None and not endless:
        given += [f"-DWATCHED={sum(number_of(name) for name in watched)}"]
    with tempfile.TemporaryDirectory(prefix="ferryman-") as folder:
        _call(folder, "spin", "-a", *given, str(MODEL))
        # A search that ends early takes less time than a better compilation.
        how = ["-O0" if planted else "-O2", "-DNP" if endless else "-DSAFETY"]
        how += [f"-DMEMLIM={MEMORY}", "-DCOLLAPSE", "-DNOFAIR", *(["-DREACH"] if story else [])]
        _call(folder, "gcc", "-w", *how, "-o", "pan", "pan.c")
        asked = ["-l"] if endless else ["-i"] if story else []
        begun = time.monotonic()
        told = _call(folder, "./pan", "-E", f"-m{DEEPEST}", *asked)
        seconds = time.monotonic() - begun
        broken = _broken(told)
        steps = tuple(_story(folder, given)) if story and broken else ()
    figures = {name: int(pattern.findall(told)[-1]) for name, pattern in _FIGURES.items()}
    return Checked(broken=broken, seconds=seconds, story=steps, **figures)


def _call(folder: str, *command: str) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        text = f"{command[0]} is not installed: apt-get install spin gcc libc6-dev"
        raise Missing(text) from error
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr}")
    return done.stdout


def _broken(told: str) -> str:
    if "non-progress cycle" in told.partition("Full statespace search")[0]:
        return ENDLESS
    numbers = _BROKEN.findall(told)
    if numbers:
        return next(name for name in PROPERTIES if number_of(name) == int(numbers[0]))
    if "errors: 0" not in told or "Search not completed" in told or "too small" in told:
        raise RuntimeError(f"the checker did not finish:\n{told[-2000:]}")
    return ""


# -- what the model itself says ----------------------------------------------------------------


def _definitions(between: str) -> dict[str, tuple[int, str]]:
    """The names that are defined below a heading, with their numbers and what they say."""
    heading, _, end = between.partition(" ... ")
    part = MODEL.read_text().partition(heading)[2].partition(end)[0]
    return {name: (int(number), text) for name, number, text in _DEFINED.findall(part)}


_FAULTS: Final = _definitions("#define PLANTED 0 ... #define FAULTY")
_PROPERTIES: Final = _definitions("What must never come true ... #ifndef")

FAULTS: Final = {name: text for name, (_, text) in _FAULTS.items()}
"""The faults that can be planted, and what is wrong then."""

PROPERTIES: Final = {name: text for name, (_, text) in _PROPERTIES.items()}
"""What must never come true."""


def number_of(name: str) -> int:
    """The number by which the model knows a fault or a property."""
    return (_FAULTS | _PROPERTIES)[name][0]


# -- how something came to be broken -----------------------------------------------------------


def _story(folder: str, given: list[str]) -> Iterator[str]:
    """The actions of the run that was found, each with who took it."""
    trail = Path(folder) / f"{MODEL.name}.trail"
    told = _call(folder, "spin", "-t", "-p", "-k", str(trail), *given, str(MODEL))
    seen, peers = 0, _Peers()
    for step, process, kind, line in _STEP.findall(told):
        name = peers.name(kind, int(process))
        action = _action(int(line))
        if int(step) > seen and action:
            seen = int(step)
            yield f"{name:<10} {action}"


class _Peers:
    """Processes of one kind are told apart by their numbers, counted from 0."""

    def __init__(self) -> None:
        self._seen: dict[str, list[int]] = {}

    def name(self, kind: str, process: int) -> str:
        """What a process is called."""
        seen = self._seen.setdefault(kind, [])
        if process not in seen:
            seen.append(process)
        return f"{kind} {seen.index(process)}" if kind == "Worker" else kind


@cache
def _actions() -> tuple[str, ...]:
    """For each line of the model, the action that it is part of."""
    actions, current = [], ""
    for line in MODEL.read_text().splitlines():
        if line.startswith("inline "):
            current = line.split()[1].partition("(")[0]
        elif "proctype " in line or line.startswith("init"):
            current = ""
        actions.append(current)
    return tuple(actions)


def _action(line: int) -> str:
    return _actions()[line - 1]


def installed() -> bool:
    """Whether what is needed is there."""
    return all(shutil.which(program) for program in ("spin", "gcc"))
