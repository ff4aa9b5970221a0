"""When a reader of the feed is told that something may have passed unheard, and when not."""

from collections.abc import Callable

import pytest
from redis import Redis

from ferryman.stores.valkey.store import ValkeyStore
from tests.contract.world import World


async def test_a_queue_whose_first_job_is_on_its_way_has_told_all(world: World) -> None:
    store = world.store
    assert isinstance(store, ValkeyStore)
    cursor = (await store.feed(None)).cursor
    await store._announce("new")  # by another process, which goes on below
    page = await store.feed(cursor)
    assert not page.reset
    await world.submit("a", queue="new")
    page = await store.feed(page.cursor)
    assert ([one.job_id for one in page.events], page.reset) == (["a"], False)


def _forget_who_listens(server: Redis) -> None:
    for key in server.scan_iter("*heard"):
        server.delete(key)


def _cut(server: Redis) -> None:
    for key in server.scan_iter("*}:feed"):
        server.xtrim(key, maxlen=1, approximate=False)


@pytest.mark.parametrize("happens", [Redis.flushall, _forget_who_listens, _cut])
async def test_who_may_have_missed_something_is_told_once(
    world: World, server: Redis, happens: Callable[[Redis], object]
) -> None:
    await world.submit("first")
    cursor = (await world.store.feed(None)).cursor
    await world.submit("a", "b", "c")
    happens(server)
    await world.submit("d")
    page = await world.store.feed(cursor)
    assert (page.events, page.reset) == ((), True)
    await world.submit("e")
    page = await world.store.feed(page.cursor)
    assert ([one.job_id for one in page.events], page.reset) == (["e"], False)
