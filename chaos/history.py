"""The history of a run: each act is one line of JSON before it and one after.

Whoever acts has a file of his own, opened to append, and writes a line in one call, so that lines
outlive the SIGKILL of their writer. All moments are nanoseconds of CLOCK_MONOTONIC, which is one
for all processes of a machine and which nobody can set.
"""

import itertools
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import msgspec

MOST_AT_ONCE: Final = 1 << 24
"""Bytes of a history that are decoded at once."""

How = Literal["ok", "fail", "info"]
"""How a call ended: it took effect, it surely did not, or nobody knows."""

Scope = Literal["process", "store", "none"]
"""Which deliveries a fault may interrupt: those of its targets, all that run meanwhile, none."""


def now() -> int:
    """The moment."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="act", gc=False):
    """What all lines have: the moment."""

    t: int


# -- producers ---------------------------------------------------------------------------------


class Enqueue(Line, frozen=True, kw_only=True, tag="enqueue", omit_defaults=True):
    """A producer is about to enqueue these. `number` names the call within its file.

    `unique` is the key that the only one of `ids` asks for. `delay`, and `expires` after which
    they are not to start any more (0: never), are in seconds.
    """

    number: int
    ids: tuple[str, ...]
    unique: str | None = None
    delay: float = 0.0
    expires: float = 0.0


class Enqueued(Line, frozen=True, kw_only=True, tag="enqueued", omit_defaults=True):
    """How that ended. `holder` is the live job that held the unique key."""

    number: int
    how: How
    holder: str | None = None
    error: str = ""


class Steer(Line, frozen=True, kw_only=True, tag="steer"):
    """Someone is about to cancel, or to retry by hand, a job."""

    number: int
    verb: Literal["cancel", "retry"]
    job: str


class Steered(Line, frozen=True, kw_only=True, tag="steered", omit_defaults=True):
    """How that ended; `verdict` is the store's where it is known."""

    number: int
    how: How
    verdict: str = ""


# -- job bodies ----------------------------------------------------------------------------------


class Start(Line, frozen=True, kw_only=True, tag="start"):
    """A job's code begins. `pid` runs it, `parent` started that process."""

    job: str
    token: int
    attempt: int
    pid: int
    parent: int


class Leave(Line, frozen=True, kw_only=True, tag="leave", omit_defaults=True):
    """A job's code ends by itself.

    `done`: all was done. `error`: it raises, and may run again. `fail`: it raises, and may not.
    `again`: it asks to run later. `kill`: it is about to kill its process. `wait`: the seconds
    that it is not to run again for.
    """

    job: str
    token: int
    how: Literal["done", "error", "fail", "again", "kill"]
    wait: float = 0.0


class Effect(Line, frozen=True, kw_only=True, tag="effect"):
    """The sink outside took a job's write, or refused it: it had seen this token, or a higher."""

    job: str
    token: int
    taken: bool


# -- workers -------------------------------------------------------------------------------------


class Write(Line, frozen=True, kw_only=True, tag="write"):
    """A worker is about to write endings, or progress, for these (job, token, next state)."""

    number: int
    what: Literal["finish", "progress"]
    of: tuple[tuple[str, int, str], ...]


class Written(Line, frozen=True, kw_only=True, tag="written"):
    """The store's verdicts, in their order."""

    number: int
    verdicts: tuple[str, ...]


class Renewed(Line, frozen=True, kw_only=True, tag="renewed"):
    """The store extended a worker's lease; the call began at `began`."""

    worker: str
    began: int


class Trouble(Line, frozen=True, kw_only=True, tag="trouble"):
    """A call to the store, begun at `began`, that raised."""

    verb: str
    began: int
    error: str


# -- faults --------------------------------------------------------------------------------------


class Fault(Line, frozen=True, kw_only=True, tag="fault", omit_defaults=True):
    """A fault is about to be injected.

    Attributes:
        number: of the fault within its file.
        scope: which deliveries it may interrupt.
        detail: more about it.
        targets: the processes that it strikes.
        charges: whether a delivery that it interrupts may count as killing its process.
        forgets: seconds before the fault whose writes the store may lose (-1: all of them).
    """

    number: int
    name: str
    scope: Scope
    detail: str = ""
    targets: tuple[int, ...] = ()
    charges: bool = False
    forgets: float = 0.0


class Healed(Line, frozen=True, kw_only=True, tag="healed"):
    """The fault is over."""

    number: int


SQLITE: Final = "sqlite"
"""Who stands still while somebody else holds the lock of a SQLite file."""


class Lag(Line, frozen=True, kw_only=True, tag="lag"):
    """`who`, of the process `pid`, stood still for so long until now.

    It counts as the machine's doing unless a fault had that process as its target.
    """

    who: str
    pid: int
    seconds: float


class Mark(Line, frozen=True, kw_only=True, tag="mark"):
    """The run came to this stage."""

    what: str


# -- the end -------------------------------------------------------------------------------------

Change = tuple[str, str, str, int, str | None]
"""An event of a job: source ("" at first), target, reason, token, worker."""


class Kept(Line, frozen=True, kw_only=True, tag="kept"):
    """What the store holds of a job at the end. `changes` is empty where a store has no events.

    Attributes:
        result: the token that the job returned, where it succeeded.
        reported: the token in the job's progress.
    """

    job: str
    state: str
    reason: str
    token: int
    deliveries: int
    attempts: int
    kills: int
    result: int | None
    reported: int | None
    changes: tuple[Change, ...]


class Drained(Line, frozen=True, kw_only=True, tag="drained", omit_defaults=True):
    """Nothing is left to do, or else why that did not come about; and what is wrong with the lane.

    Jobs that are not told of by a `kept` line are not in the store.
    """

    ok: bool
    error: str = ""
    lane: str = ""


AnyLine = (
    Enqueue
    | Enqueued
    | Steer
    | Steered
    | Start
    | Leave
    | Effect
    | Write
    | Written
    | Renewed
    | Trouble
    | Fault
    | Healed
    | Lag
    | Mark
    | Kept
    | Drained
)

_encode = msgspec.json.Encoder().encode
_decode_lines = msgspec.json.Decoder(AnyLine).decode_lines


class Recorder:
    """One actor's file of a history."""

    def __init__(self, folder: Path, actor: str) -> None:
        name = f"{actor}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(folder / name, flags, 0o644)
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """The next number of a call, in whatever thread."""
        return next(self._numbers)

    def add(self, line: Line) -> None:
        """Write a line, in one call."""
        os.write(self._file, _encode(line) + b"\n")

    def add_all(self, lines: list[Line]) -> None:
        """Write lines of no haste together."""
        os.write(self._file, b"".join(_encode(line) + b"\n" for line in lines))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(folder: Path) -> Iterator[tuple[str, list[AnyLine]]]:
    """The lines of all files, file after file, in parts; with each part the file's name.

    A last line that a SIGKILL has cut short is left out: whoever wrote it never got further.
    """
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            rest = b""
            while block := file.read(MOST_AT_ONCE):
                whole, line_end, rest = (rest + block).rpartition(b"\n")
                if line_end:
                    yield path.name, _decode_lines(whole)
