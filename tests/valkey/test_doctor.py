"""What a server is asked before it is trusted, and what an operator is told."""

from typing import Any

import pytest
from redis import Redis

from ferryman.domain.errors import StoreError, StoreUnsafe
from ferryman.settings import Settings
from ferryman.stores.base import Finding
from ferryman.stores.valkey.doctor import Examined, findings, refuse_unsafe
from tests.valkey.conftest import OpenStore

GOOD = Examined(
    address="redis://127.0.0.1:6379/0",
    name="Valkey",
    version="9.1.0",
    mode="standalone",
    role="master",
    policy="noeviction",
    maxmemory=2**30,
    aof="1",
    fsync="everysec",
)
URL = "redis://127.0.0.1:6379/0"


def levels(server: Examined, url: str = URL) -> set[str]:
    return {finding.level for finding in findings(server, url)}


def the_one_that_is_not_ok(server: Examined, url: str = URL) -> Finding:
    (finding,) = (one for one in findings(server, url) if one.level != "ok")
    assert finding.mend
    return finding


def test_a_good_server_has_nothing_to_mend() -> None:
    refuse_unsafe(GOOD)
    assert levels(GOOD) == {"ok"}


@pytest.mark.parametrize(
    ("name", "version", "accepted"),
    [
        ("Redis", "6.2.14", False),
        ("Redis", "7.0.0", True),
        ("Redis", "10.1", True),
        ("Valkey", "7.2.4", True),
        ("Valkey", "7.1", False),
        ("Valkey", "9.1.0", True),
    ],
)
def test_old_versions_are_refused(name: str, version: str, accepted: bool) -> None:
    server = GOOD._replace(name=name, version=version)
    if accepted:
        refuse_unsafe(server)
    else:
        with pytest.raises(StoreUnsafe, match="too old"):
            refuse_unsafe(server)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("mode", "cluster", "cluster"),
        ("role", "slave", "replica"),
        ("policy", "allkeys-lru", "noeviction"),
        ("aof", "0", "FERRYMAN_ALLOW=no-aof"),
    ],
)
def test_what_would_lose_jobs_is_refused(field: str, value: Any, says: str) -> None:
    server = GOOD._replace(**{field: value})
    with pytest.raises(StoreUnsafe, match=says) as caught:
        refuse_unsafe(server)
    assert GOOD.address in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fsync", "no"),
        ("fsync", ""),
        ("maxmemory", 0),
        ("policy", ""),
        ("version", ""),
    ],
)
def test_what_weakens_a_promise_is_a_warning(field: str, value: Any) -> None:
    server = GOOD._replace(**{field: value})
    refuse_unsafe(server)
    assert the_one_that_is_not_ok(server).level == "warning"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://cache.example.org/0", "password"),
        ("redis://u:p@cache.example.org/0", "TLS"),
        ("redis://cache.example.org/0?password=p", "TLS"),
        ("rediss://u:p@cache.example.org/0", ""),
        ("unix:///run/valkey.sock", ""),
        ("redis://localhost/0", ""),
    ],
)
def test_an_open_door_is_a_warning(url: str, says: str) -> None:
    if says:
        assert says in the_one_that_is_not_ok(GOOD, url).what
    else:
        assert levels(GOOD, url) == {"ok"}


async def test_a_check_up_of_a_real_server(open_store: OpenStore, settings: Settings) -> None:
    found = [finding.what for finding in await (await open_store(settings)).check()]
    assert found[0].startswith(("Valkey 9.", "Redis 7."))
    assert any("append-only file" in what for what in found)


# -- users with few rights ---------------------------------------------------------------------


@pytest.fixture
def users(own_server: str) -> str:
    """A server with the users `app`, who may do what the store needs, and `nobody`."""
    with Redis.from_url(own_server) as server:
        rights = ("~ferryman:*", "&ferryman:*", "+@all", "-@admin", "-@dangerous", "-config")
        server.execute_command("ACL", "SETUSER", "app", "on", ">secret", *rights)
        server.execute_command("ACL", "SETUSER", "nobody", "on", ">secret", "-@all")
    return own_server


def as_user(url: str, user: str, password: str) -> Settings:
    """Settings that log in at `url`."""
    if url.startswith("unix://"):
        path = url.removeprefix("unix://").partition("?")[0]
        return Settings(valkey_url=f"unix://{user}@{path}?password={password}")
    return Settings(valkey_url=url.replace("redis://", f"redis://{user}:{password}@"))


async def test_a_user_who_may_not_ask_the_server_can_still_work(
    users: str, open_store: OpenStore
) -> None:
    store = await open_store(as_user(users, "app", "secret"))
    warnings = [finding.what for finding in await store.check() if finding.level != "ok"]
    assert "the eviction policy cannot be seen by this user" in warnings
    await store.pause("q")
    assert [info.paused for info in await store.queues()] == [True]


async def test_a_user_without_rights_is_told(users: str, open_store: OpenStore) -> None:
    with pytest.raises(StoreError, match="no permissions"):
        await open_store(as_user(users, "nobody", "secret"))


async def test_a_wrong_password_is_told_without_it(users: str, open_store: OpenStore) -> None:
    with pytest.raises(StoreError, match="refused the login") as caught:
        await open_store(as_user(users, "app", "hunter2"))
    assert "hunter2" not in str(caught.value)
