"""Claims that wait at the server: what comes is claimed there, at once and once."""

import asyncio
import time

import pytest
from redis import Redis

from ferryman.domain.errors import LeaseLost, StoreUnavailable
from ferryman.domain.job import Delivery, WorkerInfo
from ferryman.stores.base import ClaimRequest
from ferryman.stores.valkey.store import ValkeyStore
from tests.contract.world import FOR_EVER, World
from tests.valkey.test_trouble import blocked, kill_connections, until

LONG = 4.0
"""Seconds that nobody waits here, unless something is wrong."""
SOON = 3.0


def request_of(worker: WorkerInfo, *queues: str, limit: int = 1) -> ClaimRequest:
    return ClaimRequest(worker=worker.id, queues=queues or ("default",), limit=limit)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [one.job_id for one in deliveries]


async def waiting(
    store: ValkeyStore, request: ClaimRequest, server: Redis, already: int = 0
) -> asyncio.Task[list[Delivery]]:
    """A claim that waits at the server."""
    task = asyncio.create_task(store.wait_and_claim(request, LONG))
    await until(lambda: blocked(server) > already)
    return task


async def test_what_comes_is_claimed_in_the_same_round_trip(
    store: ValkeyStore, world: World, server: Redis
) -> None:
    worker = await world.tireless()
    await world.submit("a")
    await world.claim(limit=2)  # from here on the queue knows the lease
    claim = await waiting(store, request_of(worker, limit=2), server)
    server.config_resetstat()
    begun = time.monotonic()
    await world.submit("b", "c", "d")
    deliveries = await claim
    assert time.monotonic() - begun < SOON
    assert ids(deliveries) == ["b", "c"]
    stats = server.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 2  # the submit's and the claim's
    assert "cmdstat_eval" not in stats
    assert ids(await store.wait_and_claim(request_of(worker, limit=2), LONG)) == ["d"]


async def test_one_job_is_for_one_of_those_who_wait(
    store: ValkeyStore, world: World, server: Redis
) -> None:
    workers = [await world.worker(lease=FOR_EVER) for _ in range(2)]
    await world.submit("first")
    await world.claim(limit=2)  # so that no token is left
    claims = []
    for number, worker in enumerate(workers):
        claims.append(await waiting(store, request_of(worker), server, number))
    await world.submit("a")
    done, left = await asyncio.wait(claims, return_when=asyncio.FIRST_COMPLETED)
    assert [ids(one.result()) for one in done] == [["a"]]
    await world.submit("b")
    assert [ids(await one) for one in left] == [["b"]]


async def test_a_wait_without_work_ends_with_its_timeout(
    store: ValkeyStore, world: World, server: Redis
) -> None:
    begun = time.monotonic()
    assert await store.wait_and_claim(request_of(await world.tireless()), 0.1) == []
    assert 0.05 < time.monotonic() - begun < SOON


async def test_paused_jobs_stay(store: ValkeyStore, world: World, server: Redis) -> None:
    claim = await waiting(store, request_of(await world.tireless()), server)
    await world.store.pause("default")
    await world.submit("a")
    assert await claim == []
    assert (await world.store.queues())[0].queued == 1


@pytest.mark.parametrize("queue", ["first", "second"])
async def test_queues_are_claimed_from_in_order(
    store: ValkeyStore, world: World, server: Redis, queue: str
) -> None:
    request = request_of(await world.tireless(), "first", "second", limit=3)
    claim = await waiting(store, request, server)
    await world.submit("a", "b", queue=queue)
    assert ids(await claim) == ["a", "b"]
    await world.submit("c", "d", queue="second")
    await world.submit("e", "f", queue="first")
    assert ids(await store.wait_and_claim(request, LONG)) == ["e", "f", "c"]


async def test_who_is_roused_waits_no_more_and_nobody_else_is(
    store: ValkeyStore, world: World, server: Redis
) -> None:
    requests = [request_of(await world.worker()) for _ in range(2)]
    claims = [await waiting(store, one, server, at) for at, one in enumerate(requests)]
    begun = time.monotonic()
    await store.rouse(requests[0])
    assert await claims[0] == []
    assert time.monotonic() - begun < SOON
    assert not claims[1].done()
    await store.rouse(requests[0])
    [left] = server.keys("*rouse:*")
    assert 0 < server.pttl(left) <= 10_000, "a token that nobody takes goes away"
    await store.rouse(requests[1])
    assert await claims[1] == []


async def test_who_was_cancelled_while_he_waited_claims_nothing(
    store: ValkeyStore, world: World, server: Redis
) -> None:
    claim = await waiting(store, request_of(await world.worker(lease=FOR_EVER)), server)
    claim.cancel()
    await until(lambda: not blocked(server))
    await world.submit("a")
    assert await world.claimed_ids() == ["a"]


async def test_a_server_that_forgot_the_scripts_claims_all_the_same(
    store: ValkeyStore, world: World, server: Redis
) -> None:
    request = request_of(await world.tireless(), limit=2)
    await world.submit("a")
    assert ids(await store.wait_and_claim(request, LONG)) == ["a"]
    claim = await waiting(store, request, server)
    server.script_flush()
    await world.submit("b")
    assert ids(await claim) == ["b"]


async def test_a_lease_that_is_over_is_noticed(
    store: ValkeyStore, world: World, server: Redis
) -> None:
    worker = await world.worker(lease=1)
    await world.submit("a", "b")
    await world.claim(by=worker)
    world.clock.advance(2)
    with pytest.raises(LeaseLost):
        await store.wait_and_claim(request_of(worker), LONG)


async def test_a_broken_connection_says_so(store: ValkeyStore, world: World, server: Redis) -> None:
    claim = await waiting(store, request_of(await world.tireless()), server)
    kill_connections(server)
    with pytest.raises(StoreUnavailable):
        await claim
