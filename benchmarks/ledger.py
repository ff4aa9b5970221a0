"""The outside counter: shared memory in which each job leaves its moments, whatever queue ran it.

One slot a job: how often it ran, and when it first began and first ended. It costs every system
the same, less than a microsecond, and it is read without asking any of them. Only the standard
library is used here: this module is imported by the workers of all systems.
"""

import mmap
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

VARIABLE: Final = "BENCHMARK_LEDGER"
"""The environment's variable that names the file."""

_WORD: Final = 8
_COLUMNS: Final = 3


class Spans(NamedTuple):
    """What the ledger saw of some jobs.

    Attributes:
        began, ended: nanoseconds of the monotonic clock, of each job that was done.
        runs: how often all of them were run together.
    """

    began: list[int]
    ended: list[int]
    runs: int

    @property
    def done(self) -> int:
        """Distinct jobs that were done."""
        return len(self.ended)

    @property
    def duplicates(self) -> int:
        """Runs beyond the first of each job."""
        return self.runs - self.done


class Ledger:
    """Slots for the jobs 0, 1, 2, … below its capacity, in a file that processes share."""

    def __init__(self, path: str | Path) -> None:
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        words = memoryview(self._map).cast("q")
        self.capacity = len(words) // _COLUMNS
        self._runs = words[: self.capacity]
        self._began = words[self.capacity : 2 * self.capacity]
        self._ended = words[2 * self.capacity :]

    @classmethod
    def create(cls, path: Path, capacity: int) -> "Ledger":
        """A new one; the file takes memory only for the slots that are used."""
        with path.open("wb") as file:
            file.truncate(capacity * _WORD * _COLUMNS)
        return cls(path)

    def begin(self, number: int) -> None:
        """Job `number` runs from now on."""
        self._runs[number] += 1
        if not self._began[number]:
            self._began[number] = time.monotonic_ns()

    def end(self, number: int) -> None:
        """Job `number` is done."""
        if not self._ended[number]:
            self._ended[number] = time.monotonic_ns()

    def began(self, number: int) -> int:
        """When job `number` first began; 0 is: not yet."""
        return self._began[number]

    def is_done(self, number: int) -> bool:
        """Whether job `number` was done."""
        return bool(self._ended[number])

    def read(self, numbers: Iterable[int]) -> Spans:
        """What was seen of these jobs."""
        began: list[int] = []
        ended: list[int] = []
        runs = 0
        for number in numbers:
            if self._ended[number]:
                began.append(self._began[number])
                ended.append(self._ended[number])
            runs += self._runs[number]
        return Spans(began, ended, runs)


def waiting(ledger: Ledger, numbers: range) -> Iterator[int]:
    """How many of these jobs are not known to be done yet, at each look, until none is.

    A look costs what has been done since the last one, not all that there is.
    """
    at = numbers.start
    while at < numbers.stop:
        while at < numbers.stop and ledger.is_done(at):
            at += 1
        yield numbers.stop - at


_own: list[Ledger] = []


def own() -> Ledger:
    """The ledger that the environment names, opened once a process (and kept over a fork)."""
    if not _own:
        _own.append(Ledger(os.environ[VARIABLE]))
    return _own[0]
