"""Lists with entries that were left behind, leases in many queues, tokens for those who wait."""

import asyncio
from asyncio import Future
from typing import Any

import pytest
from redis import Redis

from ferryman.domain.errors import LeaseLost
from ferryman.domain.ids import new_id
from ferryman.domain.job import WorkerInfo
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import JobFilter
from ferryman.stores.valkey.keys import Keys
from ferryman.stores.valkey.records import pack_id
from tests.contract.world import World, new_job
from tests.valkey.conftest import OpenStore


@pytest.fixture
def prefix(settings: Settings) -> str:
    """What the keys of the queue `default` begin with."""
    return Keys(settings.namespace).queue("default")


# -- entries that were left behind -------------------------------------------------------------


async def test_thousands_of_cancelled_jobs_do_not_hide_the_next(world: World) -> None:
    ids = [f"job-{number}" for number in range(3500)]
    await world.submit(*ids)
    assert set(await world.store.cancel(ids)) == {"applied"}
    await world.submit("alive")
    assert await world.claimed_ids(limit=1) == ["alive"]


async def test_a_retried_job_has_one_place(world: World) -> None:
    await world.submit("a", "b")
    for _ in range(3):
        await world.store.cancel(["a"])
        await world.store.retry(["a"])
    listed = [job.id for job in await world.all_pages(JobFilter(state=JobState.QUEUED))]
    assert sorted(listed) == ["a", "b"]
    assert await world.claimed_ids() == ["b", "a"]
    assert await world.claimed_ids() == []


async def test_an_id_that_comes_anew_does_not_get_its_old_place(world: World) -> None:
    await world.submit("again", "other")
    await world.store.cancel(["again"])
    await world.store.discard(["again"])
    world.clock.advance(0.001)
    await world.submit("again")
    assert len(await world.all_pages(JobFilter(state=JobState.QUEUED))) == 2
    assert await world.claimed_ids() == ["other", "again"]


async def test_jobs_of_two_workers_go_back_in_their_order(world: World) -> None:
    first, second = await world.worker("first"), await world.worker("second")
    ids = [f"job-{number:02}" for number in range(12)]
    await world.submit(*ids, "last")
    for number in range(12):
        await world.claim(by=(first, second)[number % 2])
    await world.store.hand_back(first, kill=False)
    await world.store.hand_back(second, kill=False)
    assert await world.claimed_ids() == [*ids, "last"]


async def test_pages_stay_in_step_while_jobs_come_and_go(world: World) -> None:
    ids = [f"job-{number:02}" for number in range(30)]
    await world.submit(*ids)
    where = JobFilter(state=JobState.QUEUED, queue="default")
    page = await world.store.page(where, limit=10)
    seen = [job.id for job in page.jobs]
    assert len(await world.claim(limit=5)) == 5  # from the other end
    await world.submit("new-1", "new-2")
    while page.cursor:
        page = await world.store.page(where, limit=10, cursor=page.cursor)
        seen += [job.id for job in page.jobs]
    assert seen == ids[:4:-1]


@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_a_filter_skips_nothing_and_repeats_nothing(world: World, limit: int) -> None:
    """Pages with a filter look further than they return, and go on where they ended."""
    for state in (JobState.SCHEDULED, JobState.FAILED):
        for number in range(130):
            task = "wanted" if number % 3 else "other"
            await world.submit(f"{state}-{number:03}", queue="q", task=task, delay=60.0)
    await world.store.cancel([f"{JobState.FAILED}-{number:03}" for number in range(130)])
    await world.submit(*(f"queued-{number:03}" for number in range(130)), queue="q", task="wanted")
    await world.store.cancel([f"queued-{number:03}" for number in range(0, 130, 2)])
    found = [job.id for job in await world.all_pages(JobFilter(task="wanted"), limit)]
    assert len(found) == len(set(found)) == 86 + 86 + 130


async def test_a_page_that_finds_little_says_that_it_stopped_early(world: World) -> None:
    ids = [f"job-{number}" for number in range(1500)]
    await world.submit(*ids, task="other")
    await world.store.submit([new_job("needle", task="wanted", priority=-1000)])
    page = await world.store.page(JobFilter(task="wanted"), limit=10)
    assert (page.jobs, page.partial) == ((), True)
    page = await world.store.page(JobFilter(task="wanted"), limit=10, cursor=page.cursor)
    assert [job.id for job in page.jobs] == ["needle"]
    assert page.cursor is None


# -- leases ------------------------------------------------------------------------------------


async def test_a_worker_may_claim_from_any_queue_under_one_lease(world: World) -> None:
    worker = await world.worker(lease=10)
    for queue in ("a", "b", "c"):
        await world.submit(f"job-{queue}", queue=queue)
        assert len(await world.claim(queue, by=worker)) == 1
        world.clock.advance(4)
        assert (await world.store.renew(worker, 10)).live
    world.clock.advance(9)
    assert await world.store.reap() == []
    world.clock.advance(2)
    assert len(await world.store.reap()) == 3


async def test_a_lease_that_a_queue_saw_end_is_not_brought_to_it_again(
    world: World, server: Redis, prefix: str
) -> None:
    """Were it, jobs that run elsewhere by now would seem to be this worker's."""
    worker = await world.worker()
    await world.submit("a", "b")
    await world.claim(by=worker)
    server.zadd(f"{prefix}leases", {pack_id(worker.id): world.clock() - 1})
    assert await world.store.reap() == [("a", JobState.QUEUED)]
    with pytest.raises(LeaseLost):
        await world.claim(by=worker)
    assert not (await world.store.renew(worker, 10)).live


async def test_a_renewal_in_the_middle_of_a_first_claim_finds_the_lease_alive(
    world: World, open_store: OpenStore, settings: Settings
) -> None:
    """The queue is noted as one to renew in before it knows of the lease."""
    other = await open_store(settings)
    for turn in range(30):
        worker = await world.worker()
        await world.submit(f"job-{turn}")
        claiming = asyncio.create_task(world.claim(by=worker))

        async def renew(worker: WorkerInfo = worker, claiming: Future[Any] = claiming) -> bool:
            while not claiming.done():
                if not (await other.renew(worker, 10)).live:
                    return False
            return True

        assert all(await asyncio.gather(*(renew() for _ in range(3))))
        (delivery,) = await claiming
        await world.finish(delivery)


async def test_no_missing_entry_hides_a_job_from_the_reaper(
    world: World, server: Redis, settings: Settings, prefix: str
) -> None:
    worker = await world.worker()
    await world.submit("a")
    await world.claim(by=worker)
    shared = Keys(settings.namespace).shared
    server.delete(f"{prefix}leases", f"{shared}leases", f"{shared}workers")
    assert await world.store.reap() == [("a", JobState.QUEUED)]


async def test_a_worker_that_is_long_gone_is_forgotten(world: World, server: Redis) -> None:
    await world.worker("gone", lease=10)
    world.clock.advance(3000)
    await world.store.reap()
    assert [status.live for status in await world.store.workers()] == [False]
    world.clock.advance(700)
    await world.store.reap()
    assert await world.store.workers() == []


async def test_a_lost_server_ends_every_lease(world: World, server: Redis) -> None:
    worker = await world.worker()
    await world.submit("a")
    await world.claim(by=worker)
    server.flushall()
    assert not (await world.store.renew(worker, 10)).live
    with pytest.raises(LeaseLost):
        await world.claim(by=worker)
    await world.submit("b")  # the queue is announced anew
    assert [info.name for info in await world.store.queues()] == ["default"]


async def test_a_worker_of_another_id_inherits_nothing(world: World) -> None:
    worker = await world.worker("same")
    await world.running(by=worker, queue="default")
    heir = WorkerInfo(id=new_id(), name="same", host="here", pid=1, queues=(), concurrency=1)
    await world.store.register(heir, 10)
    assert await world.store.hand_back(heir, kill=True) == []


# -- tokens for those who wait -----------------------------------------------------------------


async def test_there_is_at_most_one_token(world: World, server: Redis, prefix: str) -> None:
    for number in range(10):
        await world.submit(f"job-{number}")
    assert server.llen(f"{prefix}wake") == 1
    assert server.pttl(f"{prefix}wake") > 0
    await world.claim(limit=10)
    await world.claim()
    assert server.llen(f"{prefix}wake") == 0


async def test_one_token_wakes_worker_after_worker(world: World) -> None:
    """A batch pushes one token; whoever leaves work behind wakes the next."""
    taken: list[str] = []

    async def serve() -> None:
        worker = await world.worker(lease=1000)
        await world.store.wait_for_work(["default"], 30)
        taken.extend(job.job_id for job in await world.claim(by=worker))

    async with asyncio.timeout(10):
        workers = [asyncio.create_task(serve()) for _ in range(4)]
        await asyncio.sleep(0)
        await world.submit("a", "b", "c", "d")
        await asyncio.gather(*workers)
    assert sorted(taken) == ["a", "b", "c", "d"]
