"""Leases: who has one, how it ends, and what the reaper does to the jobs under it."""

import asyncio

import msgspec
import pytest

from ferryman.domain.errors import LeaseLost
from ferryman.domain.outcomes import MAX_KILLS
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import Verdict
from tests.contract.conftest import OpenStore
from tests.contract.world import World


async def test_a_renewed_lease_goes_on(world: World) -> None:
    worker = await world.worker(lease=10)
    for _ in range(5):
        world.clock.advance(8)
        assert (await world.store.renew(worker, 10)).live
    await world.submit("a")
    assert len(await world.claim(by=worker)) == 1
    assert await world.store.reap() == []


async def test_a_lease_that_ended_is_not_revived(world: World) -> None:
    worker = await world.worker(lease=10)
    world.clock.advance(10.5)
    assert not (await world.store.renew(worker, 10)).live
    assert not (await world.store.renew(worker, 10)).live
    with pytest.raises(LeaseLost):
        await world.claim(by=worker)


async def test_a_worker_that_never_registered_has_no_lease(world: World) -> None:
    worker = await world.worker()
    await world.store.unregister(worker)
    assert not (await world.store.renew(worker, 10)).live
    with pytest.raises(LeaseLost):
        await world.claim(by=worker)


async def test_a_lease_counts_from_its_renewal_and_not_from_its_end(world: World) -> None:
    worker = await world.worker(lease=10)
    world.clock.advance(1)
    await world.store.renew(worker, 10)
    world.clock.advance(9.5)
    assert (await world.store.renew(worker, 10)).live
    world.clock.advance(10.5)
    assert not (await world.store.renew(worker, 10)).live


async def test_the_reaper_sends_back_what_a_dead_worker_ran(world: World) -> None:
    dead, living = await world.worker("dead", 10), await world.worker("living", 30)
    lost = await world.running(by=dead)
    kept = await world.running(by=living)
    world.clock.advance(9)
    assert await world.store.reap() == []
    world.clock.advance(2)
    assert await world.store.reap() == [(lost.job_id, JobState.QUEUED)]
    job = await world.job(lost.job_id)
    assert (job.state, job.reason, job.kills) == (JobState.QUEUED, Reason.LEASE_LOST, 1)
    assert (job.worker, job.attempts) == (None, 0)
    assert await world.state(kept.job_id) is JobState.RUNNING
    assert await world.store.reap() == []
    assert await world.finish(lost) is Verdict.STALE
    assert (await world.again(lost, by=living)).token > lost.token


async def test_jobs_of_a_worker_that_nobody_knows_are_reaped(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    await world.store.unregister(worker)
    assert await world.store.reap() == [(delivery.job_id, JobState.QUEUED)]


async def test_the_third_kill_is_the_last(world: World) -> None:
    delivery = await world.running()
    for kill in range(1, MAX_KILLS):
        world.clock.advance(1e9)
        assert await world.store.reap() == [(delivery.job_id, JobState.QUEUED)]
        assert (await world.job(delivery.job_id)).kills == kill
        delivery = await world.again(delivery)
        assert delivery.kills == kill
    world.clock.advance(1e9)
    assert await world.store.reap() == [(delivery.job_id, JobState.FAILED)]
    job = await world.job(delivery.job_id)
    assert (job.state, job.reason) == (JobState.FAILED, Reason.WORKER_LOST)
    assert job.kills == MAX_KILLS
    assert job.failure is not None
    assert job.finished_at == world.clock.moment()
    assert (job.attempts, job.deliveries) == (0, MAX_KILLS)


async def test_the_reaper_works_in_bounded_steps(world: World) -> None:
    worker = await world.worker()
    await world.submit(*(f"job-{number}" for number in range(25)))
    await world.claim(by=worker, limit=25)
    world.clock.advance(11)
    reaped = [len(await world.store.reap(limit=10)) for _ in range(4)]
    assert reaped == [10, 10, 5, 0]
    assert len(await world.claimed_ids()) == 25


async def test_many_reapers_charge_one_kill(world: World, open_store: OpenStore) -> None:
    worker = await world.worker()
    await world.submit(*(f"job-{number}" for number in range(20)))
    await world.claim(by=worker, limit=20)
    world.clock.advance(11)
    stores = [world.store, await open_store(), await open_store()]
    reaped = await asyncio.gather(*(stores[index % 3].reap() for index in range(6)))
    assert sorted(job_id for one in reaped for job_id, _ in one) == sorted(
        f"job-{number}" for number in range(20)
    )
    for number in range(20):
        assert (await world.job(f"job-{number}")).kills == 1


async def test_a_reaped_job_that_should_stop_is_cancelled(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    await world.store.cancel([delivery.job_id], by="anna")
    world.clock.advance(11)
    assert await world.store.reap() == [(delivery.job_id, JobState.CANCELLED)]
    job = await world.job(delivery.job_id)
    assert job.reason is Reason.CANCELLED_BY
    assert "anna" in job.detail


async def test_workers_are_listed_by_name(world: World) -> None:
    for name in ("beta", "alpha"):
        await world.worker(name, lease=10)
    running = await world.worker("gamma", lease=60)
    await world.running(by=running)
    world.clock.advance(5)
    statuses = await world.store.workers()
    assert [status.info.name for status in statuses] == ["alpha", "beta", "gamma"]
    assert [status.running for status in statuses] == [0, 0, 1]
    assert all(status.live for status in statuses)
    last = statuses[-1]
    assert last.info == running
    assert last.started_at == world.clock.moment(-5)
    assert last.lease_until == world.clock.moment(55)


async def test_a_worker_whose_lease_is_over_is_not_live(world: World) -> None:
    await world.worker("gone", lease=10)
    await world.worker("here", lease=60)
    world.clock.advance(11)
    live = {status.info.name: status.live for status in await world.store.workers()}
    assert live == {"gone": False, "here": True}


async def test_an_unregistered_worker_is_forgotten(world: World) -> None:
    worker = await world.worker()
    await world.store.unregister(worker)
    assert await world.store.workers() == []
    await world.store.unregister(worker)


async def test_two_processes_of_one_name_have_a_lease_each(world: World) -> None:
    first = await world.worker("same", lease=10)
    world.clock.advance(5)
    second = await world.worker("same", lease=10)
    world.clock.advance(6)
    assert not (await world.store.renew(first, 10)).live
    assert (await world.store.renew(second, 10)).live


async def test_a_renewal_tells_anew_what_a_worker_is(world: World) -> None:
    worker = await world.worker(lease=10)
    [before] = await world.store.workers()
    assert before.info.memory is None
    assert before.seen_at is None
    world.clock.advance(4)
    await world.store.renew(msgspec.structs.replace(worker, memory=2**30, lease=10), 10)
    [after] = await world.store.workers()
    assert after.info.memory == 2**30
    assert after.started_at == before.started_at
    assert after.seen_at is not None
    assert (after.seen_at - before.started_at).total_seconds() == 4
