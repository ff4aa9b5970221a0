"""What a process has started, wherever it hides by now: found, measured, ended, reaped."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable

import psutil

POLL = 0.02
"""Seconds between two looks at whether processes have ended."""


def family(pid: int, mark: str) -> list[psutil.Process]:
    """The living descendants of `pid`, and every process that bears `mark` but `pid` itself.

    The mark (`NAME=value` in the environment that a process was started with) finds those that
    left the group and the session and whose parent is gone.
    """
    found = {process.pid: process for process in _with_descendants(pid)}
    name, _, value = mark.partition("=")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(name) == value:
                found[process.pid] = process
    found.pop(pid, None)
    found.pop(os.getpid(), None)
    return living(found.values())


def living(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended. A zombie has: it only waits to be reaped."""
    return [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each that is still the process that it was."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


async def all_gone(processes: Collection[psutil.Process], patience: float) -> bool:
    """Whether all have ended within `patience` seconds."""
    deadline = time.monotonic() + patience
    while processes := living(processes):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL)
    return True


def memory_of(pids: Collection[int]) -> dict[int, int]:
    """Resident bytes of each of `pids` and all that it started."""
    return {pid: sum(map(_resident, _with_descendants(pid))) for pid in pids}


def _with_descendants(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def reap_orphans(spare: Collection[int]) -> None:
    """Reap the zombies among this process's children, except `spare`, which others wait for."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if process.pid not in spare and process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)
