"""Servers that a test process starts once, and an empty store for each test."""

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store
from tests import servers
from tests.backends import BACKENDS, TEMPLATE, migrate
from tests.clock import FakeClock


@contextlib.contextmanager
def _running(server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(server())
        except servers.Missing as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield url


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The URL of a Valkey server."""
    with _running(servers.valkey) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis server."""
    with _running(servers.redis) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, with `{database}` to fill in."""
    with _running(servers.postgresql) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    """A PostgreSQL server that has a migrated database to copy."""
    with psycopg.connect(
        postgresql_server.format(database="postgres"), autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate(postgresql_server.format(database=TEMPLATE))
    return postgresql_server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=list(BACKENDS))
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store, on each backend in turn."""
    with BACKENDS[request.param](request) as value:
        yield value


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the stores in this test."""
    return FakeClock()


OpenStore = Callable[[], Awaitable[JobStore]]


@pytest.fixture
async def open_store(settings: Settings, clock: FakeClock) -> AsyncIterator[OpenStore]:
    """Opens further stores on the same data, as other processes would."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one() -> JobStore:
            store = make_store(settings, clock=clock)
            stack.push_async_callback(store.close)
            await store.open()
            return store

        yield open_one


@pytest.fixture
async def store(open_store: OpenStore) -> JobStore:
    """An empty, open store."""
    return await open_store()
