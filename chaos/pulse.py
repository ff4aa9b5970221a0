"""The pulse: whether the machine itself stands still, which is nobody's fault and explains much.

A thread is late where the processor is taken away, a write where the disk is slow, and a plain
call to a server where that server gets too little of either. SQLite has no server: there it is
whoever is stopped while it writes that holds up all others.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from redis import Redis
from redis.exceptions import RedisError

from chaos.history import SQLITE, Lag, Recorder, now
from ferryman.settings import Settings
from ferryman.stores.sql.engine import parse_url

BEAT: Final = 0.1
PATIENCE: Final = 60
"""Seconds that a server may take to answer."""

Call = Callable[[], None]
Opens = Callable[[contextlib.ExitStack], Call]
"""Makes a call; the stack ends what that takes."""


class Pulse:
    """Writes down each lag of at least so many seconds, until it is closed.

    Args:
        settings: name the server that keeps the leases; a lane keeps none.
    """

    def __init__(self, recorder: Recorder, folder: Path, settings: Settings, least: float) -> None:
        self._recorder = recorder
        self._least = least
        self._closed = threading.Event()
        calls: dict[str, Opens] = {
            "runner": lambda _: lambda: None,
            "disk": partial(_writing, folder / "pulse"),
        }
        if settings.database_url is None:
            calls["valkey"] = partial(_asking_valkey, settings.valkey_url or "")
        elif settings.database_url.startswith("postgresql"):
            calls["postgresql"] = partial(_asking_postgresql, settings.database_url)
        else:
            calls[SQLITE] = partial(_locking, str(parse_url(settings.database_url).database))
        self._threads = [
            threading.Thread(target=self._run, args=one, daemon=True) for one in calls.items()
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop."""
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _run(self, who: str, opens: Opens) -> None:
        with contextlib.ExitStack() as stack:
            self._beat(who, opens(stack))

    def _beat(self, who: str, call: Call) -> None:
        last = time.monotonic()
        while not self._closed.wait(BEAT):
            call()
            late = time.monotonic() - last - BEAT
            if late >= self._least:
                self._recorder.add(Lag(t=now(), who=who, pid=os.getpid(), seconds=round(late, 3)))
            last = time.monotonic()


def _writing(path: Path, stack: contextlib.ExitStack) -> Call:
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    stack.callback(os.close, file)

    def write() -> None:
        with contextlib.suppress(OSError):
            os.pwrite(file, b"beat", 0)
            os.fsync(file)

    return write


def _locking(path: str, stack: contextlib.ExitStack) -> Call:
    options: dict[str, Any] = {"isolation_level": None, "timeout": PATIENCE}
    database = stack.enter_context(contextlib.closing(sqlite3.connect(path, **options)))

    def lock() -> None:
        with contextlib.suppress(sqlite3.Error):
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")

    return lock


def _asking_valkey(url: str, stack: contextlib.ExitStack) -> Call:
    client = stack.enter_context(Redis.from_url(url, socket_timeout=PATIENCE))

    def ask() -> None:
        with contextlib.suppress(OSError, RedisError):
            client.ping()

    return ask


def _asking_postgresql(url: str, stack: contextlib.ExitStack) -> Call:
    kept: list[psycopg.Connection[Any]] = []

    def close() -> None:
        for connection in kept:
            connection.close()

    def ask() -> None:
        with contextlib.suppress(psycopg.Error):
            if not kept or kept[0].closed:
                kept[:] = [psycopg.connect(url, autocommit=True, connect_timeout=PATIENCE)]
            kept[0].execute("SELECT 1")

    stack.callback(close)
    return ask
