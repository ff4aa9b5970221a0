"""Fail points: named places before and after each call to a server, where a process kills itself.

A point is called `verb:number:where`, the number being that of the call within the verb, such as
`claim:1:after`. The environment says at which one a process dies: `CHAOS_POINT=claim:1:after`, or
`CHAOS_POINT=each`, which is every point once. Either way the folder `CHAOS_POINTS` keeps a file
for each point that a process has died at, so that the next one gets past it.
"""

import contextlib
import functools
import os
import signal
from pathlib import Path
from typing import Final

import psutil

from chaos import actor
from chaos.history import Fault, now

POINT: Final = "CHAOS_POINT"
POINTS: Final = "CHAOS_POINTS"
EACH: Final = "each"

DISARMED: Final = "disarmed"
"""A file of this name among the points lets all processes live."""

CRASH: Final = "crash point"


@functools.cache
def _wanted() -> tuple[str, Path] | None:
    wanted = os.environ.get(POINT)
    return (wanted, Path(os.environ[POINTS])) if wanted else None


_met: set[str] = set()


def passed(point: str) -> None:
    """The process comes past this point; it dies here if it is the first that shall."""
    wanted = _wanted()
    if wanted is None or point in _met or wanted[0] not in (EACH, point):
        return
    if (wanted[1] / DISARMED).exists():
        return
    _met.add(point)
    with contextlib.suppress(FileExistsError):
        (wanted[1] / f"{actor.role()}.{point}").touch(exist_ok=False)
        _die(point)


def _die(point: str) -> None:
    own = psutil.Process()
    targets = (own.pid, *(child.pid for child in own.children(recursive=True)))
    recorder = actor.recorder()
    recorder.add(
        Fault(
            t=now(),
            number=recorder.number(),
            name=CRASH,
            detail=f"{actor.role()}.{point}",
            scope="process",
            targets=targets,
            charges=True,
        )
    )
    os.kill(own.pid, signal.SIGKILL)
