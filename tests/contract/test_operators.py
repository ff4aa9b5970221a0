"""API keys, and the record of what operators did."""

from datetime import timedelta

import msgspec
import pytest

from ferryman.domain.errors import ConfigError
from ferryman.domain.operators import ApiKey, OperatorAction
from tests.contract.conftest import OpenStore
from tests.contract.world import World

KEY = ApiKey(
    id="k1", digest=bytes(range(32)), name="anna é", scopes=("read", "operate"), user="anna"
)


async def test_a_key_is_kept(world: World, open_store: OpenStore) -> None:
    expires = world.clock.moment() + timedelta(days=1)
    given = msgspec.structs.replace(KEY, expires_at=expires)
    added = await world.store.add_key(given)
    assert added.created_at == world.clock.moment()
    assert (added.digest, added.scopes, added.user) == (KEY.digest, KEY.scopes, "anna")
    assert added.expires_at == expires
    other = await open_store()
    assert await other.key("k1") == added
    assert await other.keys() == [added]
    assert await other.key("k2") is None


async def test_an_id_is_given_once(world: World) -> None:
    added = await world.store.add_key(KEY)
    with pytest.raises(ConfigError, match="k1"):
        await world.store.add_key(ApiKey(id="k1", digest=b"other"))
    assert await world.store.keys() == [added]


async def test_a_key_is_revoked_once(world: World) -> None:
    await world.store.add_key(KEY)
    world.clock.advance(1)
    await world.store.add_key(ApiKey(id="a-later-one", digest=b"x"))
    assert await world.store.revoke_key("k1")
    assert not await world.store.revoke_key("k1")
    assert not await world.store.revoke_key("nobody")
    first, second = await world.store.keys()
    assert (first.id, first.revoked_at) == ("k1", world.clock.moment())
    assert (second.id, second.revoked_at) == ("a-later-one", None)


async def test_actions_are_listed_latest_first(world: World) -> None:
    for number in range(5):
        world.clock.advance(1)
        action = OperatorAction(who="anna", verb="cancel", target=f"job-{number}", detail="é\n")
        await world.store.record(action)
    page = await world.store.actions(limit=2)
    assert [one.target for one in page.actions] == ["job-4", "job-3"]
    assert page.actions[0].at == world.clock.moment()
    assert (page.actions[0].who, page.actions[0].detail) == ("anna", "é\n")
    targets = [one.target for one in page.actions]
    while page.cursor is not None:
        page = await world.store.actions(limit=2, cursor=page.cursor)
        targets += [one.target for one in page.actions]
    assert targets == [f"job-{number}" for number in (4, 3, 2, 1, 0)]


async def test_no_actions_are_an_empty_page(world: World) -> None:
    page = await world.store.actions()
    assert (page.actions, page.cursor) == ((), None)
    with pytest.raises(ConfigError, match="cursor"):
        await world.store.actions(cursor="x y")
