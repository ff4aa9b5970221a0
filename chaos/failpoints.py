"""Fail points: named places before and after each call to a server, where a process kills itself.

A point is called `verb:call:where`, such as `claim:lane_take:after`, a statement after what it is
part of: `claim:claim.update:before`. What this process is to the run comes before that:
`process.claim:…`. Where `CHAOS_POINTS` names a folder, it keeps a file for each point that a
process has come past (`seen`) or has died at. Whoever comes first to a point that the file `aim` in
that folder names at the moment dies there.
"""

import contextlib
import functools
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil

from chaos import actor
from chaos.history import Fault, now

POINTS: Final = "CHAOS_POINTS"
AIM: Final = "aim"
SEEN: Final = "seen"

CRASH: Final = "crash point"


@functools.cache
def _folder() -> Path | None:
    folder = os.environ.get(POINTS)
    return Path(folder) if folder else None


_seen: set[str] = set()


def aim(folder: Path, points: Iterable[str]) -> None:
    """Have a process die at each of these points, and at no others."""
    draft = folder / f"{AIM}.draft"
    draft.write_text("".join(f"{point}\n" for point in points))
    draft.rename(folder / AIM)


def passed(point: str) -> None:
    """The process comes past this point; it dies here if it is the first that shall."""
    folder = _folder()
    if folder is None:
        return
    point = f"{actor.role()}.{point}"
    if point not in _seen:
        _seen.add(point)
        with contextlib.suppress(FileNotFoundError):
            (folder / SEEN / point).touch()
    if point in _aimed_at(folder):
        with contextlib.suppress(FileExistsError):
            (folder / point).touch(exist_ok=False)
            _die(point)


def _aimed_at(folder: Path) -> list[str]:
    try:
        return (folder / AIM).read_text().split()
    except FileNotFoundError:
        return []


def _die(point: str) -> None:
    own = psutil.Process()
    targets = (own.pid, *(child.pid for child in own.children(recursive=True)))
    recorder = actor.recorder()
    recorder.add(
        Fault(
            t=now(),
            number=recorder.number(),
            name=CRASH,
            detail=point,
            scope="process",
            targets=targets,
            charges=True,
        )
    )
    os.kill(own.pid, signal.SIGKILL)
