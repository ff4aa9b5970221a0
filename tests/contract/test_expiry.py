"""Jobs that must start in time or not at all."""

import asyncio

from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import JobFilter
from tests.contract.conftest import OpenStore
from tests.contract.world import World, each

FAILED = JobState.FAILED


@each(JobState.QUEUED, JobState.SCHEDULED, JobState.WAITING)
async def test_a_job_that_did_not_start_in_time_fails(world: World, state: JobState) -> None:
    job_id = await world.bring(state, expires_in=30.0)
    world.clock.advance(29)
    assert await world.store.expire() == 0
    world.clock.advance(2)
    assert await world.store.expire() == 1
    job = await world.job(job_id)
    assert (job.state, job.reason) == (FAILED, Reason.EXPIRED)
    assert job.finished_at == world.clock.moment()
    assert (job.attempts, job.deliveries) == (0, 0)
    assert await world.store.expire() == 0
    world.clock.advance(1000)
    await world.store.promote()
    await world.store.admit([job_id])
    assert await world.claimed_ids(job.queue) == []


async def test_a_job_that_started_in_time_goes_on(world: World) -> None:
    delivery = await world.running(expires_in=30.0)
    world.clock.advance(31)
    assert await world.store.expire() == 0
    assert await world.finish(delivery) == "applied"


async def test_a_job_that_comes_due_too_late_never_starts(world: World) -> None:
    await world.submit("a", delay=60.0, expires_in=30.0)
    world.clock.advance(61)
    await world.store.promote()
    assert await world.claimed_ids() == []
    assert await world.store.expire() == 1


async def test_a_job_that_went_back_too_late_never_starts_again(world: World) -> None:
    delivery = await world.running(expires_in=30.0)
    world.clock.advance(31)
    await world.finish(delivery, JobState.QUEUED, charge=1)
    assert await world.claimed_ids(delivery.queue) == []
    assert await world.store.expire() == 1
    assert (await world.job(delivery.job_id)).reason is Reason.EXPIRED


async def test_a_retry_by_hand_is_not_bound_by_the_old_expiry(world: World) -> None:
    await world.submit("a", expires_in=30.0)
    world.clock.advance(31)
    await world.store.expire()
    assert await world.store.retry(["a"]) == ["applied"]
    assert (await world.job("a")).expires_at is None
    assert await world.store.expire() == 0
    assert await world.claimed_ids() == ["a"]


async def test_a_job_that_claims_pass_over_is_still_there(world: World) -> None:
    await world.submit("late", expires_in=5.0)
    world.clock.advance(6)
    assert await world.claimed_ids() == []
    assert await world.state("late") is JobState.QUEUED
    for where in (JobFilter(), JobFilter(queue="default", state=JobState.QUEUED)):
        assert [job.id for job in await world.all_pages(where)] == ["late"]
        assert await world.store.count(where) == 1
    (queue,) = await world.store.queues()
    assert queue.queued == 1
    assert await world.store.expire() == 1
    (queue,) = await world.store.queues()
    assert (queue.queued, queue.failed) == (0, 1)


async def test_jobs_without_an_expiry_never_expire(world: World) -> None:
    await world.submit("a")
    world.clock.advance(1e8)
    assert await world.store.expire() == 0
    assert await world.claimed_ids() == ["a"]


async def test_expiry_works_in_bounded_steps(world: World) -> None:
    await world.submit(*(f"job-{number}" for number in range(25)), expires_in=1.0)
    await world.submit("fresh")
    world.clock.advance(2)
    assert [await world.store.expire(limit=10) for _ in range(4)] == [10, 10, 5, 0]
    assert await world.claimed_ids() == ["fresh"]


async def test_many_at_once_expire_each_job_once(world: World, open_store: OpenStore) -> None:
    await world.submit(*(f"job-{number}" for number in range(30)), expires_in=1.0)
    world.clock.advance(2)
    stores = [world.store, await open_store()]
    expired = await asyncio.gather(*(stores[index % 2].expire(limit=9) for index in range(8)))
    assert sum(expired) == 30
    assert len(await world.store.events("job-0")) == 2
