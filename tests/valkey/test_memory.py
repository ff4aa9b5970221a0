"""At the server's memory limit: new jobs are refused, and all that runs goes on."""

import pytest
from redis import Redis

from ferryman.domain.errors import StoreFull, StoreUnsafe
from ferryman.domain.ids import new_id
from ferryman.domain.job import NewJob, Progress
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import ClaimRequest, ProgressUpdate
from tests.clock import FakeClock
from tests.contract.world import World, ending, new_job
from tests.valkey.conftest import OpenStore


@pytest.fixture
async def full(own_server: str, open_store: OpenStore, clock: FakeClock) -> World:
    """A store with queued, scheduled and running jobs, on a server without memory left."""
    world = World(await open_store(Settings(valkey_url=own_server)), clock)
    await world.submit(*(f"job-{number}" for number in range(20)), expires_in=1000.0)
    await world.submit("later", delay=5.0)
    await world.submit("held", held=True)
    with Redis.from_url(own_server) as server:
        server.config_set("maxmemory", server.info("memory")["used_memory"] // 2)
    return world


async def test_new_jobs_are_refused_as_a_whole(full: World) -> None:
    with pytest.raises(StoreFull, match="memory limit"):
        await full.submit("one", "two")
    with pytest.raises(StoreFull):
        await full.submit("three", queue="a-new-one")
    assert await full.store.get(["one", "two", "three"]) == [None, None, None]


async def test_the_whole_life_of_a_job_goes_on(full: World) -> None:
    worker = await full.worker()
    deliveries = await full.claim(by=worker, limit=3)
    assert len(deliveries) == 3
    assert (await full.store.renew(worker, 10)).live
    first, second, third = deliveries
    update = ProgressUpdate(
        job_id=first.job_id, queue=first.queue, token=first.token, progress=Progress(1)
    )
    assert await full.store.progress([update]) == ["applied"]
    request = ClaimRequest(worker=worker.id, queues=("default",), limit=2)
    verdicts, more = await full.store.finish_and_claim(
        [ending(first, result=b"x" * 1000), ending(second, JobState.SCHEDULED, delay=1.0)], request
    )
    assert (verdicts, len(more)) == (["applied", "applied"], 2)
    assert await full.finish(third, JobState.FAILED) == "applied"
    assert len(await full.store.hand_back(worker, kill=True)) == 2


async def test_upkeep_and_steering_go_on(full: World) -> None:
    store, clock = full.store, full.clock
    await full.claim(by=await full.worker("dies"), limit=2)
    clock.advance(11)
    assert len(await store.reap()) == 2
    assert (await store.promote())[0] == 1
    assert await store.admit(["held"]) == ["applied"]
    assert await store.cancel(["held", "later"]) == ["applied", "applied"]
    await store.pause("default")
    await store.resume("default")
    clock.advance(1000)
    assert await store.expire() == 20
    assert await store.prune(max_history=0) == 22


async def test_room_that_is_made_is_used(full: World, own_server: str) -> None:
    await full.store.purge("default")
    await full.store.prune(max_history=0)
    with Redis.from_url(own_server) as server:
        server.config_set("maxmemory", 0)
    assert (await full.submit("again"))[0].created


async def test_an_evicting_server_is_refused(own_server: str, open_store: OpenStore) -> None:
    with Redis.from_url(own_server) as server:
        server.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreUnsafe, match="CONFIG SET maxmemory-policy noeviction"):
        await open_store(Settings(valkey_url=own_server))


async def test_a_policy_that_changed_is_noticed_in_a_check_up(
    own_server: str, open_store: OpenStore
) -> None:
    store = await open_store(Settings(valkey_url=own_server))
    with Redis.from_url(own_server) as server:
        server.config_set("maxmemory-policy", "volatile-ttl")
    errors = [finding.what for finding in await store.check() if finding.level == "error"]
    assert errors == ["maxmemory-policy is volatile-ttl, which deletes jobs when memory is short"]


async def test_a_queued_job_is_small(world: World, server: Redis) -> None:
    """Its specification and its place in the list; the bar is 150 KiB a thousand jobs."""

    def job() -> NewJob:
        args = b'[[17,"receipts/abc.jpg",1],{}]'
        return new_job(new_id(), task="read_receipt", queue="ocr", args=args)

    await world.store.submit([job()])
    before = int(server.info("memory")["used_memory"])
    for _ in range(10):
        await world.store.submit([job() for _ in range(1000)])
    used = int(server.info("memory")["used_memory"]) - before
    # A hash may be in the middle of growing, which shows as a second table for a while.
    assert used / 10_000 < 180
