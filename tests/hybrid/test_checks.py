"""Start-up checks: what breaks a promise is refused, unless it is allowed."""

from collections.abc import Iterator

import msgspec
import psycopg
import pytest
from psycopg import sql

from ferryman.domain.errors import ConfigError, StoreUnsafe
from ferryman.settings import Settings, load_settings
from ferryman.stores import make_store
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.valkey.store import ValkeyStore
from tests.hybrid.lane_server import LaneServer


async def test_an_evicting_server_is_refused_unless_allowed(lane: LaneServer) -> None:
    with lane.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    store = ValkeyStore(Settings(valkey_url=lane.url, allow=("no-aof",)))
    with pytest.raises(StoreUnsafe, match="FERRYMAN_ALLOW=eviction"):
        await store.open()
    await store.close()
    store = ValkeyStore(Settings(valkey_url=lane.url, allow=("eviction", "no-aof")))
    await store.open()
    await store.close()


async def test_an_evicting_lane_is_no_danger(settings: Settings, lane: LaneServer) -> None:
    with lane.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    store = make_store(settings)
    assert isinstance(store, HybridStore)
    await store.open()
    assert all(
        finding.level != "error" or "fsync" in finding.what or "full_page" in finding.what
        for finding in await store.check()
    )
    assert any("the database puts them back" in one.what for one in await store.check())
    await store.close()


@pytest.fixture
def asynchronous(settings: Settings) -> Iterator[Settings]:
    """A database that acknowledges commits before they are on the disk."""
    url = settings.database_url or ""
    if not url.startswith("postgresql"):
        pytest.skip("a setting of PostgreSQL")
    with psycopg.connect(url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        off = sql.SQL("ALTER DATABASE {} SET synchronous_commit = off")
        connection.execute(off.format(database))
        yield settings
        # Another test may get this database.
        connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(database))


async def test_asynchronous_commits_are_refused_unless_allowed(asynchronous: Settings) -> None:
    store = make_store(asynchronous)
    with pytest.raises(StoreUnsafe, match="FERRYMAN_ALLOW=async-commit"):
        await store.open()
    await store.close()
    store = make_store(msgspec.structs.replace(asynchronous, allow=("async-commit", "no-fsync")))
    await store.open()
    await store.close()


def test_what_may_be_allowed_is_known() -> None:
    given = load_settings({"FERRYMAN_ALLOW": "eviction, async-commit"})
    assert given.allow == ("eviction", "async-commit")
    with pytest.raises(ConfigError, match="eviction"):
        load_settings({"FERRYMAN_ALLOW": "everything"})
