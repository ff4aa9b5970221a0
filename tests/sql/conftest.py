"""The two databases, as bare connections beside the store under test."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from sqlalchemy import URL, Engine, create_engine

from ferryman.settings import Settings
from ferryman.stores.sql.engine import kind_of, parse_url
from ferryman.stores.sql.store import SqlStore
from tests.backends import BACKENDS
from tests.clock import FakeClock

OpenStore = Callable[[], Awaitable[SqlStore]]


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store, on each database in turn."""
    with BACKENDS[request.param](request) as value:
        yield value


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
