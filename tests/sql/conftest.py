"""The two databases, as bare connections beside the store under test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psycopg
import pytest
from sqlalchemy import URL, Engine, create_engine

from ferryman.settings import Settings
from ferryman.stores.sql.engine import kind_of, parse_url
from ferryman.stores.sql.store import SqlStore
from tests.backends import BACKENDS, TEMPLATE, UNSYNCED
from tests.clock import FakeClock

OpenStore = Callable[[], Awaitable[SqlStore]]


@pytest.fixture
def own_database() -> None:
    """Asked for by a test that alters the tables or the database: no other test shall get it."""


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store, on each database in turn."""
    own = request.param == "postgresql" and "own_database" in request.fixturenames
    with (_scratch if own else BACKENDS[request.param])(request) as value:
        yield value


@contextlib.contextmanager
def _scratch(request: pytest.FixtureRequest) -> Iterator[Settings]:
    server: str = request.getfixturevalue("postgresql_template")
    with psycopg.connect(server.format(database="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE scratch TEMPLATE {TEMPLATE}")
        try:
            yield Settings(database_url=server.format(database="scratch"), allow=UNSYNCED)
        finally:
            connection.execute("DROP DATABASE scratch")


@pytest.fixture
async def open_store(settings: Settings) -> AsyncIterator[OpenStore]:
    """Opens stores under the database's own clock, as other processes would."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one() -> SqlStore:
            store = SqlStore(settings)
            stack.push_async_callback(store.close)
            await store.open()
            return store

        yield open_one


@pytest.fixture
async def store(settings: Settings, clock: FakeClock) -> AsyncIterator[SqlStore]:
    """An empty, open store under a clock that stands still."""
    store = SqlStore(settings, clock=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def ticking(open_store: OpenStore) -> SqlStore:
    """An empty, open store under the database's own clock."""
    return await open_store()


@pytest.fixture
def url(settings: Settings) -> URL:
    """The database, for an asynchronous engine of the application's own."""
    assert settings.database_url is not None
    return parse_url(settings.database_url)


@pytest.fixture
def engine(url: URL) -> Iterator[Engine]:
    """An engine of the application's own."""
    engine = create_engine(synchronous(url))
    yield engine
    engine.dispose()


def synchronous(url: URL) -> URL:
    """The same database, through a driver for synchronous code."""
    return url if kind_of(url) == "postgresql" else url.set(drivername="sqlite")


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition()`."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)
