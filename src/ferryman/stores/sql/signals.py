"""Signals: how each database tells a process that something changed."""

import asyncio
import contextlib
import os
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import URL, Connection, Text, bindparam, func, select

from ferryman.domain.errors import StoreError
from ferryman.stores.sql.hints import Topics

TICKS: Final = (0.01, 0.1)
"""Seconds between two looks at the number of commits: at first, and after a long quiet."""

GATHER: Final = 0.01
"""Seconds in which announcements gather to be sent together."""

CHANNEL: Final = "ferryman_hints"

_ROOM: Final = 7800
"""Bytes of names, with quotes and commas, in one message: PostgreSQL's limit is 8,000 in all."""


class SqliteSignal:
    """SQLite counts the commits of other connections; reading the number takes microseconds.

    The number is read on the event loop itself: it needs no lock, and a thread would cost more.
    """

    patience = 1.0

    def __init__(self, url: URL) -> None:
        self._path = url.database or ""
        self._connection: sqlite3.Connection | None = None
        self._seen: int | None = None
        self._tick = TICKS[0]

    async def changed(self, timeout: float, *, keen: bool) -> None:
        """Return soon after a commit of another connection, or after `timeout` seconds."""
        if keen:
            self._tick = TICKS[0]
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(self._tick, left))
            self._tick = min(1.05 * self._tick, TICKS[1])
            number = self._number()
            if number != self._seen:
                self._seen = number
                return

    def _number(self) -> int | None:
        try:
            if self._connection is None:
                uri = self._path.startswith("file:")
                self._connection = sqlite3.connect(self._path, timeout=0, uri=uri)
            ((number,),) = self._connection.execute("PRAGMA data_version").fetchall()
        except sqlite3.Error:
            return self._seen
        return int(number)

    def announce(self, topics: Topics) -> None:
        """Nothing: the commit itself is seen."""

    async def close(self) -> None:
        """Close the connection that reads the number."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


Send = Callable[[Callable[[Connection, Sequence[str]], None], Sequence[str]], Awaitable[None]]
"""Does work on a connection of the store, outside of every other transaction."""


_NOTIFY: Final = select(func.pg_notify(CHANNEL, bindparam("message", type_=Text)))


def notify(connection: Connection, messages: Sequence[str]) -> None:
    """Send messages to whoever listens."""
    for message in messages:
        connection.execute(_NOTIFY, {"message": message})


class PostgresqlSignal:
    """LISTEN and NOTIFY: each process that waits listens on a connection of its own.

    A notification is never part of a transaction that changes jobs, since those that carry one
    are let through one at a time at their commit.
    """

    patience = 1.0

    def __init__(self, url: URL, wake: Callable[[Topics], None], send: Send) -> None:
        self._url = url
        self._wake = wake
        self._send = send
        self._changed = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._queues: set[str] = set()
        self._jobs: set[str] = set()
        self._events = False

    async def changed(self, timeout: float, *, keen: bool) -> None:
        """Return when messages may have been missed, or after `timeout` seconds."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()
                self._changed.clear()

    async def _listen(self) -> None:
        from psycopg import Error

        pause = 0.1
        while True:
            with contextlib.suppress(Error, OSError):
                await self._listen_once()
                pause = 0.1
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
            pause = min(2 * pause, 10.0)

    async def _listen_once(self) -> None:
        from psycopg import AsyncConnection  # the driver is an extra

        _, options = self._url.get_dialect()().create_connect_args(self._url)
        connecting = AsyncConnection.connect(**options, autocommit=True)
        async with await connecting as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            # The driver's own way of waiting looks ten times a second. Its socket is watched by a
            # descriptor of our own: it closes its own by itself when the connection is lost.
            loop, server = asyncio.get_running_loop(), connection.pgconn
            heard = asyncio.Event()
            watched = os.dup(server.socket)
            loop.add_reader(watched, heard.set)
            try:
                self._changed.set()
                while await heard.wait():
                    heard.clear()
                    server.consume_input()
                    while message := server.notifies():
                        self._received(message.extra)
            finally:
                loop.remove_reader(watched)
                os.close(watched)

    def _received(self, payload: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            self._wake(msgspec.json.decode(payload, type=Topics))

    def announce(self, topics: Topics) -> None:
        """Send what came about, together with whatever else comes about in a moment."""
        self._queues |= topics.queues
        self._jobs |= topics.jobs
        self._events |= topics.events
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        while messages := list(self._messages()):
            self._queues.clear()
            self._jobs.clear()
            self._events = False
            with contextlib.suppress(StoreError):
                await self._send(notify, messages)
            await asyncio.sleep(GATHER)
        self._sender = None

    def _messages(self) -> Iterator[str]:
        for queues in _portions(self._queues):
            yield msgspec.json.encode(Topics(queues=queues)).decode()
        for jobs in _portions(self._jobs):
            yield msgspec.json.encode(Topics(jobs=jobs)).decode()
        if self._events and not (self._queues or self._jobs):
            yield msgspec.json.encode(Topics(events=True)).decode()

    async def close(self) -> None:
        """Send what is left, and stop listening."""
        if self._sender is not None:
            await asyncio.wait([self._sender], timeout=1.0)
        for task in (self._listener, self._sender):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._listener = self._sender = None


def _portions(names: set[str]) -> Iterator[frozenset[str]]:
    portion: list[str] = []
    room = _ROOM
    for name in names:
        size = len(msgspec.json.encode(name)) + 1
        if size > room:
            yield frozenset(portion)
            portion, room = [], _ROOM
        portion.append(name)
        room -= size
    if portion:
        yield frozenset(portion)
