"""Hybrid stores on real servers, under the databases' own clocks."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import msgspec
import psycopg
import pytest

from ferryman.settings import Settings
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.hybrid.tuning import Tuning
from tests import servers
from tests.backends import BACKENDS
from tests.hybrid.lane_server import LaneServer

LANE_ONLY = Tuning(fill_every=1e9, hold=0.3, probe_first=0.05, steady=0.2, sweep_every=0.05)
"""A worker that gets something gets it from the lane."""

OpenStore = Callable[..., Awaitable[HybridStore]]


@pytest.fixture
def lane() -> Iterator[LaneServer]:
    """A lane of this test's own."""
    try:
        with LaneServer() as server:
            yield server
    except servers.Missing as error:
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, lane: LaneServer) -> Iterator[Settings]:
    """Settings of an empty store, on each database in turn."""
    with BACKENDS[request.param](request) as value:
        yield msgspec.structs.replace(value, valkey_url=lane.url, namespace="test")
        if request.param == "postgresql":
            _until_left(value.database_url or "")


def _until_left(url: str) -> None:
    """Return once the server has noticed that killed processes have left its database."""
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    deadline = time.monotonic() + 20
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(f"SELECT 1 {others}").fetchone():
            assert time.monotonic() < deadline, "a store left a connection behind"
            time.sleep(0.02)


@pytest.fixture
async def open_store(settings: Settings) -> AsyncIterator[OpenStore]:
    """Opens stores as so many processes would."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(
            tuning: Tuning = LANE_ONLY, *, swept: bool = True, lane: str | None = None
        ) -> HybridStore:
            given = msgspec.structs.replace(settings, valkey_url=lane or settings.valkey_url)
            store = HybridStore(given, tuning=tuning)
            stack.push_async_callback(store.close)
            await store.open()
            if swept:
                await store.sweep()
            return store

        yield open_one
