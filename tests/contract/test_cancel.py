"""Cancelling: jobs that have not begun, and requests to those that run."""

from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import Verdict
from tests.contract.world import World, each

CANCELLED = JobState.CANCELLED


@each(JobState.SCHEDULED, JobState.WAITING, JobState.QUEUED)
async def test_a_job_that_does_not_run_is_cancelled_at_once(world: World, state: JobState) -> None:
    job_id = await world.bring(state)
    world.clock.advance(1)
    assert await world.store.cancel([job_id], by="anna") == ["applied"]
    job = await world.job(job_id)
    assert (job.state, job.reason) == (CANCELLED, Reason.CANCELLED_BY)
    assert "anna" in job.detail
    assert job.finished_at == world.clock.moment()
    world.clock.advance(1000)
    await world.store.promote()
    assert await world.claimed_ids(job.queue) == []


async def test_a_running_job_is_asked_to_stop(world: World) -> None:
    delivery = await world.running()
    worker = await world.tireless()
    assert (await world.store.renew(worker, 1e8)).cancels == ()
    assert await world.store.cancel([delivery.job_id], by="anna") == ["requested"]
    job = await world.job(delivery.job_id)
    assert (job.state, job.cancel_requested) == (JobState.RUNNING, True)
    renewal = await world.store.renew(worker, 1e8)
    assert (renewal.live, renewal.cancels) == (True, ((delivery.job_id, delivery.token),))
    assert await world.store.cancel([delivery.job_id], by="anna") == ["requested"]
    assert (await world.store.renew(worker, 1e8)).cancels == renewal.cancels


async def test_the_request_is_told_to_the_worker_that_runs_the_job(world: World) -> None:
    first, second = await world.worker("first"), await world.worker("second")
    delivery = await world.running(by=first)
    await world.store.cancel([delivery.job_id])
    assert (await world.store.renew(second, 10)).cancels == ()
    assert (await world.store.renew(first, 10)).cancels == ((delivery.job_id, delivery.token),)


async def test_a_request_ends_with_the_job(world: World) -> None:
    delivery = await world.running()
    await world.store.cancel([delivery.job_id])
    await world.finish(delivery, CANCELLED, reason=Reason.CANCELLED_BY)
    assert (await world.store.renew(await world.tireless(), 1e8)).cancels == ()


async def test_the_worker_that_stopped_it_need_not_know_who_asked(world: World) -> None:
    delivery = await world.running()
    await world.store.cancel([delivery.job_id], by="anna")
    for _ in range(2):
        await world.finish(delivery, CANCELLED, reason=Reason.CANCELLED_BY)
        assert (await world.job(delivery.job_id)).detail == "anna"


@each(JobState.QUEUED, JobState.SCHEDULED)
async def test_a_job_that_should_stop_does_not_run_again(world: World, state: JobState) -> None:
    delivery = await world.running()
    await world.store.cancel([delivery.job_id], by="anna")
    for _ in range(2):  # the second is a repeat after a lost reply
        verdict = await world.finish(delivery, state, delay=5.0, charge=1)
        assert verdict is Verdict.APPLIED
    job = await world.job(delivery.job_id)
    assert (job.state, job.reason, job.attempts) == (CANCELLED, Reason.CANCELLED_BY, 1)
    assert "anna" in job.detail
    assert job.finished_at == world.clock.moment()
    world.clock.advance(10)
    assert await world.store.promote() == (0, None)
    assert await world.claimed_ids(delivery.queue) == []


@each(JobState.SUCCEEDED, JobState.FAILED)
async def test_a_job_that_ends_all_the_same_ends_as_it_did(world: World, state: JobState) -> None:
    delivery = await world.running()
    await world.store.cancel([delivery.job_id])
    assert await world.finish(delivery, state) is Verdict.APPLIED
    assert await world.state(delivery.job_id) is state


@each(JobState.SUCCEEDED, JobState.FAILED, CANCELLED)
async def test_an_ended_job_is_not_cancelled(world: World, state: JobState) -> None:
    job_id = await world.bring(state)
    before = await world.job(job_id)
    assert await world.store.cancel([job_id]) == ["stale"]
    assert await world.job(job_id) == before


async def test_each_job_gets_its_verdict(world: World) -> None:
    queued = await world.bring(JobState.QUEUED)
    running = await world.bring(JobState.RUNNING)
    ended = await world.bring(JobState.SUCCEEDED)
    verdicts = await world.store.cancel([running, "missing", ended, queued])
    assert verdicts == ["requested", "missing", "stale", "applied"]
    assert await world.store.cancel([]) == []


async def test_a_retried_job_is_no_longer_asked_to_stop(world: World) -> None:
    delivery = await world.running()
    await world.store.cancel([delivery.job_id])
    await world.finish(delivery, CANCELLED, reason=Reason.CANCELLED_BY)
    await world.store.retry([delivery.job_id])
    assert not (await world.job(delivery.job_id)).cancel_requested
    following = await world.again(delivery)
    assert (await world.store.renew(await world.tireless(), 1e8)).cancels == ()
    await world.finish(following, JobState.QUEUED)
    assert await world.state(delivery.job_id) is JobState.QUEUED
