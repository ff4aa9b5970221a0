"""Engines: how a database URL becomes connections, and what each kind of work runs on."""

import asyncio
import importlib.util
import math
import random
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

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

_LAST_MOMENT: Final = 0.5
"""Seconds that a transaction of a cancelled caller has to come to its end, and a server to give
up the statement of one that is late."""


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


def _sqlite_engine(url: URL, timeout: float, connections: int, begin: str) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite"),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=timeout,
        connect_args={"timeout": timeout, "check_same_thread": False},
    )

    event.listen(engine, "connect", prepare_sqlite)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engine(
    url: URL, timeout: float, connections: int, spare: int, isolation: IsolationLevel
) -> AsyncEngine:
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
        isolation_level=isolation,
        connect_args={key: value for key, value in wanted.items() if key not in url.query},
    )


class Runner(ABC):
    """Does work in transactions of one engine, each within a bounded time."""

    def __init__(self, url: URL, timeout: float) -> None:
        self._url = url
        self._timeout = timeout

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
        with translated(self._url):
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

    @abstractmethod
    async def _once(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        """Do it in one transaction."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of every connection."""


class LoopRunner(Runner):
    """Work on the event loop, through an asynchronous driver."""

    def __init__(self, engine: AsyncEngine, timeout: float) -> None:
        super().__init__(engine.url, timeout)
        self._engine = engine
        self._under_way: set[asyncio.Task[Any]] = set()

    async def _once(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        # Cancelled while it connects, the driver's connection would be left open by everybody: so
        # it gets a moment to come to its end, and then the caller is cancelled.
        task = asyncio.ensure_future(self._transact(work, args, kwargs))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            done, _ = await asyncio.wait([task], timeout=self._timeout)
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=_LAST_MOMENT)
            await _given_up(task)
            raise
        if not done and not await _given_up(task):
            raise TimeoutError
        return task.result()

    async def _transact(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work, *args, **kwargs)

    async def close(self) -> None:
        """See `Runner.close`."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_LAST_MOMENT)
        await self._engine.dispose()


async def _given_up(task: asyncio.Task[Any]) -> bool:
    """End a transaction; whether it came to its own end meanwhile.

    Cancelled once, the driver asks the server to give up, and waits for its word, which a server
    behind a dead link never gives. Cancelled again, it closes the connection.
    """
    task.cancel()
    await asyncio.wait([task], timeout=_LAST_MOMENT)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return not task.cancelled() and task.exception() is None


class ThreadRunner(Runner):
    """Work in threads, each transaction as a whole: a change of threads costs as much as a
    statement. Those who wait for a thread are served in their order.
    """

    def __init__(self, engine: Engine, timeout: float, threads: int) -> None:
        super().__init__(engine.url, timeout)
        self._engine = engine
        self._number = threads
        self._threads: ThreadPoolExecutor | None = None
        self._under_way: set[Future[Any]] = set()

    async def _once(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._number, thread_name_prefix="ferryman-sqlite")
        begun = self._threads.submit(self._transact, work, args, kwargs)
        self._under_way.add(begun)
        begun.add_done_callback(self._under_way.discard)
        done = asyncio.wrap_future(begun)
        try:
            await asyncio.wait([done], timeout=self._timeout)
        except asyncio.CancelledError:
            # One that has begun comes to its end all the same, and so keeps no lock of the file.
            done.cancel()
            raise
        if begun.cancel():
            raise TimeoutError
        return await done  # SQLite bounds its waiting itself

    def _transact(self, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        with self._engine.begin() as connection:
            return work(connection, *args, **kwargs)

    async def close(self) -> None:
        """See `Runner.close`."""
        threads, self._threads = self._threads, None
        if threads is not None:
            # It may be the end of the interpreter, where no thread can be had to wait in.
            if self._under_way:
                await asyncio.wait([asyncio.wrap_future(one) for one in list(self._under_way)])
            threads.shutdown(wait=False)
        self._engine.dispose()


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
        self.read: Runner
        self.write: Runner
        self.alone: Runner
        self.beat: Runner
        if kind_of(url) == "postgresql":

            def connections(number: int, spare: int, isolation: IsolationLevel) -> LoopRunner:
                engine = _postgresql_engine(url, timeout, number, spare, isolation)
                return LoopRunner(engine, timeout)

            # What every statement of several here is made for, whatever the server's default is.
            self.write = connections(_CONNECTIONS, _CONNECTIONS, "READ COMMITTED")
            self.read = self.alone = connections(_CONNECTIONS, _CONNECTIONS, "AUTOCOMMIT")
            self.beat = connections(1, 0, "AUTOCOMMIT")
        else:

            def threads(number: int, begin: str) -> ThreadRunner:
                engine = _sqlite_engine(url, timeout, number, begin)
                return ThreadRunner(engine, timeout, number)

            self.write = self.alone = threads(1, "BEGIN IMMEDIATE")
            self.read = threads(_READERS, "BEGIN")
            self.beat = threads(1, "BEGIN IMMEDIATE")

    async def close(self) -> None:
        """Close every connection."""
        for runner in {self.read, self.write, self.alone, self.beat}:
            await runner.close()
