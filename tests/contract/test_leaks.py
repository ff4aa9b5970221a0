"""Nothing is left of jobs that are gone, and every key lives as long as it is declared to."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from ferryman.domain.job import Progress
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores import make_store
from ferryman.stores.base import JobFilter, ProgressUpdate
from ferryman.stores.valkey.keys import Keys
from tests.backends import BACKENDS
from tests.clock import FakeClock
from tests.contract.leaks import leaks, remains
from tests.contract.world import World

S = JobState


@pytest.fixture(params=list(BACKENDS))
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store, on each backend in turn."""
    with BACKENDS[request.param](request) as value:
        yield value


@pytest.fixture(params=["valkey", "redis"])
def valkey_settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty Valkey store, on Valkey and on Redis."""
    with BACKENDS[request.param](request) as value:
        yield value


async def _live(world: World) -> None:
    """Jobs in every state, with all that can belong to one, by every way that leads there."""
    store = world.store
    for state in S:
        job_id = await world.bring(state, unique="k", user="anna", tags=("t",), expires_in=1e9)
        if state is S.RUNNING:
            job = await world.job(job_id)
            queue, token = job.queue, job.token
            update = ProgressUpdate(
                job_id=job_id, queue=queue, token=token, progress=Progress(1), checkpoint=b"1"
            )
            await store.progress([update])
            await store.cancel([job_id], by="anna")
    worker = await world.worker("dies")
    await world.running(by=worker, priority=7)
    await world.running(by=await world.worker("shuts-down"), priority=-7)
    for number in range(3):
        delivery = await world.running(priority=number)
        await world.finish(delivery, S.SUCCEEDED, ttl=5.0, result=b"1")
    await world.finish(await world.running(), S.SCHEDULED, delay=3.0, charge=1)
    await world.submit("expires", "later", queue="q", expires_in=2.0)
    await world.submit("due", queue="q", delay=1.0)
    await store.pause("other")
    await store.wait_for_work(["q", "other"], 0.01)


async def _end(world: World) -> None:
    """End every job and forget every worker."""
    store = world.store
    world.clock.advance(20)
    await store.expire()
    await store.promote()
    world.clock.advance(1e9)
    await store.reap()
    for queue in await store.queues():
        await store.purge(queue.name)
        await store.resume(queue.name)
    assert await store.count(JobFilter(state=S.RUNNING)) == 0
    await store.discard([job.id for job in await world.all_pages(JobFilter(state=S.FAILED))])
    assert await store.prune(max_history=0) > 0
    # A store may leave marks of cancelled jobs for the next claim to clear away.
    assert await world.claimed_ids(*(queue.name for queue in await store.queues())) == []
    for status in await store.workers():
        await store.unregister(status.info)


async def test_nothing_is_left_of_what_is_gone(settings: Settings) -> None:
    clock = FakeClock()
    store = make_store(settings, clock=clock)
    await store.open()
    try:
        world = World(store, clock)
        await _live(world)
        assert remains(settings) != []
        await _end(world)
        assert await world.all_pages() == []
        assert remains(settings) == []
    finally:
        await store.close()


async def test_every_key_lives_as_long_as_it_is_declared_to(valkey_settings: Settings) -> None:
    clock = FakeClock()
    store = make_store(valkey_settings, clock=clock)
    await store.open()
    try:
        world = World(store, clock)
        with Redis.from_url(valkey_settings.valkey_url or "") as client:
            await _live(world)
            assert client.dbsize() > 20
            assert leaks(client, valkey_settings.namespace) == []
            await _end(world)
            assert leaks(client, valkey_settings.namespace) == []
    finally:
        await store.close()


PLANTED: dict[str, Callable[["Redis", str], object]] = {
    "outside of the namespace": lambda client, _: client.set("stray", 1),
    "of another namespace": lambda client, _: client.set(Keys("other").queue("q") + "jobs", 1),
    "not declared": lambda client, prefix: client.set(prefix + "locks", 1),
    "a kind that is not declared": lambda client, prefix: client.set(prefix + "lock:a", 1),
    "to expire": lambda client, prefix: client.set(prefix + "wake", 1),
    "permanent": lambda client, prefix: client.set(prefix + "jobs", 1, ex=100),
    "a record for ever": lambda client, prefix: (
        client.set(prefix + "end:a", 1),
        client.zadd(prefix + "ttl", {"a": 1}),
    ),
    "a record that vanishes": lambda client, prefix: client.set(prefix + "end:a", 1, ex=100),
}


@pytest.mark.parametrize("fault", list(PLANTED))
async def test_a_leaking_key_is_noticed(valkey_settings: Settings, fault: str) -> None:
    with Redis.from_url(valkey_settings.valkey_url or "") as client:
        assert leaks(client, valkey_settings.namespace) == []
        PLANTED[fault](client, Keys(valkey_settings.namespace).queue("q"))
        assert len(leaks(client, valkey_settings.namespace)) == 1
