"""What a store can stand on: each backend gives settings for an empty store of its own."""

import contextlib
import functools
import gc
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import pytest
from psycopg import Connection
from redis import Redis

from ferryman.settings import Settings

Backend = Callable[[pytest.FixtureRequest], AbstractContextManager[Settings]]

TEMPLATE: Final = "migrated"
UNSYNCED: Final = ("no-fsync",)
"""What the tests' PostgreSQL has to be allowed: it does without for the sake of speed."""
LEAVING: Final = 10.0
"""Seconds after which a connection that is still there was forgotten."""

_numbers = itertools.count(1)
_unused: list[str] = []
"""Databases of this process's server that no test uses now: to make one costs 100 ms and more."""


def migrate(database_url: str) -> None:
    """Give an empty database the tables of this release."""
    from ferryman.stores.sql.migrations import upgrade

    upgrade(database_url)


@contextlib.contextmanager
def sqlite(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A copy of a migrated file."""
    template: Path = request.getfixturevalue("sqlite_template")
    directory: Path = request.getfixturevalue("tmp_path")
    path = shutil.copy(template, directory / f"jobs-{next(_numbers)}.db")
    yield Settings(database_url=f"sqlite:///{path}")


@contextlib.contextmanager
def postgresql(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A database with empty tables, which an earlier test may have used."""
    server: str = request.getfixturevalue("postgresql_template")
    with psycopg.connect(server.format(database="postgres"), autocommit=True) as connection:
        name = _unused.pop() if _unused else _created(connection)
        try:
            yield Settings(database_url=server.format(database=name), allow=UNSYNCED)
        finally:
            _wait_for_the_last_to_leave(connection, name)
    with psycopg.connect(server.format(database=name), autocommit=True) as connection:
        _empty_all_tables(connection)
    _unused.append(name)


def _created(connection: Connection) -> str:
    name = f"test_{next(_numbers)}"
    connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    return name


def _wait_for_the_last_to_leave(connection: Connection, name: str) -> None:
    """A store that leaves a connection behind shall be seen; a server lets go a bit later.

    One that was given up half open goes with the garbage, since the driver knows no other way.
    """
    begun = time.monotonic()
    query = "SELECT query FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    while left := connection.execute(query, (name,)).fetchall():
        waited = time.monotonic() - begun
        if waited > LEAVING:
            raise AssertionError(f"connections that nobody closed, with their last queries: {left}")
        if waited > 1:
            gc.collect()
        time.sleep(0.005 if waited < 1 else 0.5)


def _empty_all_tables(connection: Connection) -> None:
    from ferryman.stores.sql.tables import VERSION_TABLE

    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> %s"
    tables = ", ".join(name for (name,) in connection.execute(query, (VERSION_TABLE,)))
    connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")


@contextlib.contextmanager
def valkey(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """An emptied Valkey server, and a namespace that nobody had before."""
    yield _emptied(request.getfixturevalue("valkey_server"))


@contextlib.contextmanager
def redis(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """An emptied Redis server, and a namespace that nobody had before."""
    yield _emptied(request.getfixturevalue("redis_server"))


def _emptied(url: str) -> Settings:
    with Redis.from_url(url) as client:
        client.flushall()
    return Settings(valkey_url=url, namespace=f"test{next(_numbers)}")


@contextlib.contextmanager
def hybrid(request: pytest.FixtureRequest, database: Backend, lane: str) -> Iterator[Settings]:
    """A database, and a lane that is well, is dead, or dies and comes back all the time."""
    with database(request) as kept:
        fixture = {"well": "valkey_server", "dead": "dead_lane", "dying": "dying_lane"}[lane]
        yield msgspec.structs.replace(
            kept,
            valkey_url=request.getfixturevalue(fixture),
            namespace=f"test{next(_numbers)}",
        )


BACKENDS: Final[dict[str, Backend]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "valkey": valkey,
    "redis": redis,
    **{
        f"hybrid-{name}" + ("" if lane == "well" else f"-{lane}"): functools.partial(
            hybrid, database=database, lane=lane
        )
        for name, database in (("sqlite", sqlite), ("postgresql", postgresql))
        for lane in ("well", "dead", "dying")
    },
}
"""The stores that the contract suite runs on; a new one is a new entry."""
