"""Engines: how a database URL becomes connections, and what each kind of work runs on."""

import asyncio
import importlib.util
import math
import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from ferryman.domain.errors import ConfigError
from ferryman.stores.sql.dialect import Kind
from ferryman.stores.sql.faults import Fault, fault_of, translated

P = ParamSpec("P")
T = TypeVar("T")

_PAUSES: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Seconds, about, before a transaction that others were in the way of is tried again."""

_READERS: Final = 4
"""Connections that read a SQLite file at once; one writes, and one renews leases."""

_CONNECTIONS: Final = 5
"""Connections to PostgreSQL that are kept, and as many more in a rush; one renews leases."""


def parse_url(text: str) -> URL:
    """A database URL with the driver that this store speaks through.

    Raises:
        ConfigError: not a URL of SQLite or PostgreSQL, or the driver is not installed.
    """
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1))
    except ArgumentError as error:
        text = "the database URL cannot be read: write sqlite:///… or postgresql://…"
        raise ConfigError(text) from error
    match url.get_backend_name():
        case "sqlite":
            return _parse_sqlite(url)
        case "postgresql":
            if importlib.util.find_spec("psycopg") is None:
                text = "PostgreSQL needs its driver: pip install 'ferryman[postgres]'"
                raise ConfigError(text)
            return url.set(drivername="postgresql+psycopg")
        case other:
            raise ConfigError(f"{other} is not supported: use sqlite:///… or postgresql://…")


def _parse_sqlite(url: URL) -> URL:
    if url.database in (None, "", ":memory:") or "mode" in url.query:
        text = "SQLite in memory cannot be shared by workers: name a file, sqlite:///jobs.db"
        raise ConfigError(text)
    return url.set(drivername="sqlite+aiosqlite")


def kind_of(url: URL) -> Kind:
    """Which database a parsed URL names."""
    return "postgresql" if url.get_backend_name() == "postgresql" else "sqlite"


def prepare_sqlite(connection: Any, _: Any = None) -> None:
    """Set up a new connection of the driver to a SQLite file."""
    connection.isolation_level = None  # or the driver would begin transactions by itself
    cursor = connection.cursor()
    _use_wal(cursor)
    # A commit is on the disk before it is acknowledged. NORMAL would lose the last ones when the
    # power fails, and an enqueue that was acknowledged must not be lost.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Let readers and the writer not wait for another; the file remembers it."""
    # Of several connections that switch a new file at once, SQLite refuses all but one without
    # any wait, whatever their time-out says. Then it is done, and asking again is enough.
    for pause in _PAUSES:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            time.sleep(pause)
        else:
            return
    cursor.execute("PRAGMA journal_mode = WAL")


def _sqlite_engine(url: URL, timeout: float, connections: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=timeout,
        connect_args={"timeout": timeout},
    )

    event.listen(engine.sync_engine, "connect", prepare_sqlite)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(url: URL, timeout: float, connections: int, spare: int) -> AsyncEngine:
    milliseconds = str(math.ceil(timeout * 1000))
    wanted = {
        "application_name": "ferryman",
        "connect_timeout": str(max(2, math.ceil(timeout))),  # less than 2 means 2 to libpq
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "2",
        "tcp_user_timeout": milliseconds,  # a cable that was cut is noticed while we wait
    }
    return create_async_engine(
        url,
        pool_size=connections,
        max_overflow=spare,
        pool_timeout=timeout,
        pool_use_lifo=True,
        isolation_level="READ COMMITTED",  # what every statement here is made for
        connect_args={key: value for key, value in wanted.items() if key not in url.query},
    )


class Runner:
    """Does work in transactions of one engine, each within a bounded time."""

    def __init__(self, engine: AsyncEngine, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        # SQLite bounds its waiting itself, and what its thread does cannot be interrupted.
        self._bound = None if engine.dialect.name == "sqlite" else timeout

    async def run(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `work`; again, after a short pause, where other transactions were in the way."""
        return await self._persist(work, args, kwargs, repeat=False)

    async def run_repeatable(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`run`, once more if the connection broke: for work that may have been done already."""
        return await self._persist(work, args, kwargs, repeat=True)

    async def _persist(self, work: Callable[..., T], args: Any, kwargs: Any, *, repeat: bool) -> T:
        deadline = time.monotonic() + self._timeout
        pauses = iter(_PAUSES)
        with translated(self._engine.url):
            while True:
                try:
                    return await self._once(work, args, kwargs)
                except SQLAlchemyError as error:
                    broken = isinstance(error, DBAPIError) and error.connection_invalidated
                    if broken and repeat:
                        repeat = False
                        continue
                    pause = next(pauses, None)
                    late = time.monotonic() > deadline
                    if late or pause is None or fault_of(error) is not Fault.CONTENTION:
                        raise
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load

    async def _once(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        if self._bound is not None:
            return await self._transact(work, args, kwargs)
        # A transaction of SQLite that is cancelled between two calls of its thread would keep the
        # file's lock: it comes to its end first, and then the caller is cancelled.
        task = asyncio.ensure_future(self._transact(work, args, kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.gather(task, return_exceptions=True)
            raise

    async def _transact(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        async with asyncio.timeout(self._bound), self._engine.begin() as connection:
            return await connection.run_sync(work, *args, **kwargs)


class Engines:
    """The connections of one store on one event loop.

    A transaction that writes begins as `IMMEDIATE` on SQLite: one that reads first and then writes
    fails at once when another process wrote in between, however long it would be ready to wait.
    It has one connection for that, whose queue is fair, where the file's lock is not.

    Args:
        url: as `parse_url` gives it.
        timeout: seconds that one call may take.

    Attributes:
        read: for work that changes nothing.
        write: a transaction for work that changes something.
        alone: for work whose statements are each complete in themselves: PostgreSQL commits each
            at once, which saves two round trips.
        beat: for heartbeats, on a connection of their own: no burst of other work makes them late.
    """

    def __init__(self, url: URL, timeout: float) -> None:
        if kind_of(url) == "postgresql":
            main = _postgresql_engine(url, timeout, _CONNECTIONS, _CONNECTIONS)
            heart = _postgresql_engine(url, timeout, 1, 0)
            self._engines = [main, heart]
            self.write = Runner(main, timeout)
            self.read = self.alone = Runner(_committing(main), timeout)
            self.beat = Runner(_committing(heart), timeout)
        else:
            writer = _sqlite_engine(url, timeout, 1, "BEGIN IMMEDIATE")
            reader = _sqlite_engine(url, timeout, _READERS, "BEGIN")
            heart = _sqlite_engine(url, timeout, 1, "BEGIN IMMEDIATE")
            self._engines = [writer, reader, heart]
            self.write = self.alone = Runner(writer, timeout)
            self.read = Runner(reader, timeout)
            self.beat = Runner(heart, timeout)

    async def close(self) -> None:
        """Close every connection."""
        for engine in self._engines:
            await engine.dispose()


def _committing(engine: AsyncEngine) -> AsyncEngine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")
