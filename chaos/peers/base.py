"""What is asked of each system, and what its jobs do. Only the standard library is used here.

A system's file runs in its own environment, as the one that enqueues and as the ones that work.
The lines that they write are those of `chaos.history`.
"""

import asyncio
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

VALKEY: Final = os.environ.get("CHAOS_VALKEY", "")
"""`redis://…`; empty where the system needs none."""

DATABASE: Final = os.environ.get("CHAOS_DATABASE", "")
"""`postgresql://…`; empty where the system needs none."""

SAFEST: Final = bool(os.environ.get("CHAOS_SAFEST"))
"""Whether the safest settings that its documentation tells of are to be used; else its own."""


class Peer:
    """A system."""

    default: ClassVar[str] = "all as it comes"
    """What its settings are where none is asked for, as far as it matters here."""

    safest: ClassVar[str] = ""
    """What is set where it is to be as safe as its documentation tells; empty is: nothing can."""

    async def prepare(self) -> None:
        """Make the tables that it needs."""

    async def open(self) -> None:
        """Get ready to enqueue."""

    async def enqueue(self, job: str, seconds: float) -> Any:
        """Enqueue a call of `work` or `awork` with these."""
        raise NotImplementedError

    def work(self) -> None:
        """Run a worker; the process may become another program."""
        raise NotImplementedError


def become(*command: str) -> NoReturn:
    """Replace this process by another program of the same environment."""
    from sys import executable

    os.execv(executable, [executable, "-m", *command])  # noqa: S606 - a peer's file says what


# -- the job -------------------------------------------------------------------------------------


def work(job: str, seconds: float) -> None:
    """What each job does: it begins, takes its time, has its effect, and is done."""
    token = _begin(job)
    time.sleep(seconds)
    _end(job, token)


async def awork(job: str, seconds: float) -> None:
    """The same on a loop."""
    token = _begin(job)
    await asyncio.sleep(seconds)
    _end(job, token)


def _begin(job: str) -> int:
    token = time.monotonic_ns()  # for a system that has none: higher with each delivery
    pids = {"pid": os.getpid(), "parent": os.getppid()}
    write({"act": "start", "job": job, "token": token, "attempt": 1, **pids})
    return token


def _end(job: str, token: int) -> None:
    with _local_lock:
        if _pid[0] != os.getpid():
            _pid[0], _sockets["sink"] = os.getpid(), _connected()
        _sockets["sink"].sendall(f"{job} {token}\n".encode())
        _sockets["sink"].recv(1)
    write({"act": "leave", "job": job, "token": token, "how": "done"})


_local_lock = threading.Lock()
_pid = [0]
_sockets: dict[str, socket.socket] = {}
_files: dict[int, int] = {}


def _connected() -> socket.socket:
    sink = socket.socket(socket.AF_UNIX)
    sink.settimeout(30)
    sink.connect(os.environ["CHAOS_SINK"])
    return sink


def write(line: dict[str, Any]) -> None:
    """Add a line to this process's file of the history, in one call."""
    pid = os.getpid()
    if pid not in _files:
        path = Path(os.environ["CHAOS_HISTORY"]) / f"process-{pid}-{secrets.token_hex(4)}.jsonl"
        _files[pid] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    os.write(_files[pid], json.dumps({"t": moment, **line}).encode() + b"\n")
