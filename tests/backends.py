"""What a store can stand on: each backend gives settings for an empty store of its own."""

import contextlib
import functools
import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import pytest
from redis import Redis

from ferryman.settings import Settings

Backend = Callable[[pytest.FixtureRequest], AbstractContextManager[Settings]]

_numbers = itertools.count(1)
TEMPLATE: Final = "migrated"


def migrate(database_url: str) -> None:
    """Give an empty database the tables of this release."""
    from ferryman.stores.sql.migrations import upgrade

    upgrade(database_url)


@contextlib.contextmanager
def sqlite(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A copy of a migrated file."""
    template: Path = request.getfixturevalue("sqlite_template")
    directory: Path = request.getfixturevalue("tmp_path")
    path = shutil.copy(template, directory / "jobs.db")
    yield Settings(database_url=f"sqlite:///{path}")


@contextlib.contextmanager
def postgresql(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """A database made after a migrated one."""
    server: str = request.getfixturevalue("postgresql_template")
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.format(database="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        try:
            yield Settings(database_url=server.format(database=name))
        finally:
            # Not WITH (FORCE): a store that leaves a connection behind shall be seen.
            connection.execute(f"DROP DATABASE {name}")


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
