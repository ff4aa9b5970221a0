"""Stores on Valkey and Redis, servers of a test's own, and a bad line to them."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from redis import Redis

from ferryman.settings import Settings
from ferryman.stores.valkey.store import ValkeyStore
from tests import servers
from tests.backends import BACKENDS
from tests.clock import FakeClock
from tests.conftest import running
from tests.contract.world import World
from tests.valkey.line import Line

OpenStore = Callable[..., Awaitable[ValkeyStore]]


@pytest.fixture(params=["valkey", "redis"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store, on Valkey and on Redis."""
    with BACKENDS[request.param](request) as value:
        yield value


@pytest.fixture
def server(settings: Settings) -> Iterator[Redis]:
    """The server behind the store, to look at it and to disturb it."""
    with Redis.from_url(settings.valkey_url or "") as client:
        yield client


@pytest.fixture(params=["valkey", "redis"])
def own_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that this test may configure as it likes."""
    start = servers.valkey if request.param == "valkey" else servers.redis
    with running(start) as url:
        yield url


@pytest.fixture
async def open_store(clock: FakeClock) -> AsyncIterator[OpenStore]:
    """Opens stores; `real_time` leaves the clock to the server."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(given: Settings, *, real_time: bool = False) -> ValkeyStore:
            store = ValkeyStore(given, None if real_time else clock)
            stack.push_async_callback(store.close)
            await store.open()
            return store

        yield open_one


@pytest.fixture
async def store(open_store: OpenStore, settings: Settings) -> ValkeyStore:
    """An empty, open store."""
    return await open_store(settings)


@pytest.fixture
def world(store: ValkeyStore, clock: FakeClock) -> World:
    """An empty store with its clock."""
    return World(store, clock)


@pytest.fixture
async def line(settings: Settings) -> AsyncIterator[Line]:
    """A way to the server that can be cut."""
    async with Line(settings.valkey_url or "") as line:
        yield line


@pytest.fixture
async def over_line(
    line: Line, settings: Settings, open_store: OpenStore, clock: FakeClock
) -> World:
    """A store that reaches its server over the line, with short time-outs."""
    given = Settings(valkey_url=line.url, namespace=settings.namespace, store_timeout=2.0)
    return World(await open_store(given), clock)
