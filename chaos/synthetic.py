"""Histories that were made up: good ones of any size, for tests of the checker and its speed.

python -m chaos.synthetic 1000000
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from chaos.checker import check
from chaos.history import (
    Drained,
    Effect,
    Enqueue,
    Enqueued,
    Fault,
    Healed,
    Kept,
    Leave,
    Line,
    Recorder,
    Start,
    Write,
    Written,
)

STEP: Final = 1_000_000
"""Nanoseconds between two lines."""

BATCH: Final = 100
KILL_EVERY: Final = 1000


class Clock:
    """Gives one moment after the other."""

    def __init__(self) -> None:
        self.t = 1_000_000_000

    def __call__(self) -> int:
        """The next moment."""
        self.t += STEP
        return self.t


def good(jobs: int, clock: Clock) -> Iterable[Line]:
    """A good history of so many jobs, some of which a SIGKILL interrupted."""
    for first in range(0, jobs, BATCH):
        batch = [f"job-{number}" for number in range(first, min(jobs, first + BATCH))]
        yield Enqueue(t=clock(), number=first, ids=tuple(batch))
        yield Enqueued(t=clock(), number=first, how="ok")
        of: list[tuple[str, int, str]] = []
        for number, job in enumerate(batch, first):
            killed = number % KILL_EVERY == 0
            yield from (interrupted if killed else ended)(job, 1, clock)
            of.append((job, 2 if killed else 1, "succeeded"))
        number = jobs + first
        yield Write(t=clock(), number=number, what="finish", of=tuple(of))
        yield Written(t=clock(), number=number, verdicts=("applied",) * len(of))
        for job, token, _ in of:
            yield kept(job, clock, claims=token)
    yield Drained(t=clock(), ok=True)


def ended(job: str, token: int, clock: Clock) -> Iterable[Line]:
    """A delivery from its start to its end."""
    yield Start(t=clock(), job=job, token=token, attempt=1, pid=1, parent=1)
    yield Effect(t=clock(), job=job, token=token, taken=True)
    yield Leave(t=clock(), job=job, token=token, how="done")


def interrupted(job: str, token: int, clock: Clock) -> Iterable[Line]:
    """A delivery that a SIGKILL interrupts, and the next one, which is not."""
    pid = clock()
    yield Start(t=clock(), job=job, token=token, attempt=1, pid=pid, parent=1)
    yield killing(clock, pid)
    yield Healed(t=clock(), number=clock.t - STEP)
    yield from ended(job, token + 1, clock)


def killing(clock: Clock, pid: int) -> Fault:
    """The SIGKILL of a process."""
    at = clock()
    return Fault(t=at, number=at, name="sigkill", scope="process", targets=(pid,), charges=True)


def kept(job: str, clock: Clock, claims: int = 1) -> Kept:
    """What the store keeps of a job that succeeded with its so-many-eth claim."""
    changes: list[tuple[str, str, str, int, str | None]] = [("", "queued", "submitted", 0, None)]
    for token in range(1, claims + 1):
        changes.append(("queued", "running", "claimed", token, "w"))
        if token < claims:
            changes.append(("running", "queued", "lease_lost", token, None))
    changes.append(("running", "succeeded", "returned", claims, "w"))
    return Kept(
        t=clock(),
        job=job,
        state="succeeded",
        reason="returned",
        token=claims,
        deliveries=claims,
        attempts=0,
        kills=claims - 1,
        result=claims,
        reported=None,
        changes=tuple(changes),
    )


def write(folder: Path, lines: Iterable[Line], at_once: int = 10_000) -> None:
    """Write lines down as one actor's file."""
    recorder = Recorder(folder, "synthetic")
    some: list[Line] = []
    for line in lines:
        some.append(line)
        if len(some) == at_once:
            recorder.add_all(some)
            some = []
    recorder.add_all(some)
    recorder.close()


def main(jobs: int) -> None:
    """Make up a history of so many jobs, judge it, and say how long that took."""
    with tempfile.TemporaryDirectory(prefix="ferryman-chaos-") as name:
        write(Path(name), good(jobs, Clock()))
        begun = time.monotonic()
        judgement = check(Path(name), lease=1e-6)
        took = time.monotonic() - begun
    print(f"{jobs:,} jobs, {judgement.lines:,} lines: judged in {took:.1f} s")
    print(f"good: {judgement.good}; {dict(judgement.counts)}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
