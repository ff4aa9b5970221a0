"""Borrowed connections: those of a driver that a caller brings, as connections of SQLAlchemy.

They stay the caller's: nothing here commits, rolls back or closes one.
"""

import contextvars
import importlib
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ferryman.stores.sql.dialect import Kind

T = TypeVar("T")

_lent: Final[contextvars.ContextVar[Any]] = contextvars.ContextVar("ferryman_borrowed")

_POOL: Final[dict[str, Any]] = {"poolclass": NullPool, "pool_reset_on_return": None}


class _Borrowed:
    """A connection whose transaction is not ours to end, and whose rows are tuples."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor that gives rows as SQLAlchemy reads them."""
        if isinstance(self._connection, sqlite3.Connection):
            cursor = self._connection.cursor(*args, **options)
            cursor.row_factory = None
            return cursor
        options.setdefault("row_factory", importlib.import_module("psycopg.rows").tuple_row)
        return self._connection.cursor(*args, **options)

    def commit(self) -> None:
        """Nothing: that is for whose connection it is."""

    rollback = close = commit


class _AsyncBorrowed:
    """The same for a connection of an asynchronous driver."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor that gives rows as SQLAlchemy reads them."""
        if kind_of_driver(self._connection) == "postgresql":
            options.setdefault("row_factory", importlib.import_module("psycopg.rows").tuple_row)
        return self._connection.cursor(*args, **options)

    async def commit(self) -> None:
        """Nothing: that is for whose connection it is."""

    rollback = close = commit


def kind_of_driver(connection: Any) -> Kind | None:
    """Which database a driver's connection is to; `None` is: it is no such connection."""
    for base in type(connection).__mro__:
        module = base.__module__.partition(".")[0]
        if module in ("sqlite3", "aiosqlite", "psycopg") and "Connection" in base.__name__:
            return "postgresql" if module == "psycopg" else "sqlite"
    return None


def is_asynchronous(connection: Any) -> bool:
    """Whether a driver's connection is used with `await`."""
    names = {
        f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(connection).__mro__
    }
    return bool(names & {"psycopg.AsyncConnection", "aiosqlite.Connection"})


@cache
def _engine(kind: Kind) -> Engine:
    if kind == "sqlite":
        return create_engine("sqlite+pysqlite://", creator=_lent.get, **_POOL)
    options = _POOL | {"use_native_hstore": False}
    return create_engine("postgresql+psycopg://", creator=_lent.get, **options)


@cache
def _async_engine(kind: Kind) -> AsyncEngine:
    async def lend(*_: Any, **__: Any) -> Any:
        return _lent.get()

    if kind == "sqlite":
        return create_async_engine("sqlite+aiosqlite://", async_creator=lend, **_POOL)
    options = _POOL | {"use_native_hstore": False}
    return create_async_engine("postgresql+psycopg_async://", async_creator=lend, **options)


def on_borrowed(connection: Any, kind: Kind, work: Callable[[Connection], T]) -> T:
    """Do `work` in the transaction of a driver's connection."""
    token = _lent.set(_Borrowed(connection))
    try:
        with _engine(kind).connect() as lent:
            return work(lent)
    finally:
        _lent.reset(token)


async def on_borrowed_async(connection: Any, kind: Kind, work: Callable[[Connection], T]) -> T:
    """Do `work` in the transaction of an asynchronous driver's connection."""
    token = _lent.set(_AsyncBorrowed(connection))
    try:
        async with _async_engine(kind).connect() as lent:
            return await lent.run_sync(work)
    finally:
        _lent.reset(token)
