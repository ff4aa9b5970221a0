"""Retrying and discarding ended jobs by hand."""

import pytest

from ferryman.domain.job import Progress
from ferryman.domain.outcomes import MAX_KILLS, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ProgressUpdate
from tests.contract.world import World, each

ENDED = [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]
LIVE = [state for state in JobState if state not in ENDED]


@each(JobState.FAILED, JobState.CANCELLED)
async def test_an_ended_job_goes_back_to_its_queue(world: World, state: JobState) -> None:
    delivery = await world.running(args=b"1", priority=3)
    failure = Failure(kind="ValueError", message="m")
    await world.finish(delivery, state, charge=1, failure=failure, ttl=60.0)
    world.clock.advance(5)
    assert await world.store.retry([delivery.job_id], by="anna") == ["applied"]
    job = await world.job(delivery.job_id)
    assert (job.state, job.reason) == (JobState.QUEUED, Reason.RETRIED)
    assert (job.attempts, job.kills, job.finished_at) == (0, 0, None)
    assert (job.args, job.priority) == (b"1", 3)
    assert job.due_at == world.clock.moment()
    assert "anna" in (await world.store.events(delivery.job_id))[-1].detail
    following = await world.again(delivery)
    assert (following.attempts, following.deliveries) == (0, 2)
    assert following.token > delivery.token


async def test_a_retried_job_is_not_dropped_at_its_old_end_of_life(world: World) -> None:
    delivery = await world.running()
    await world.finish(delivery, JobState.FAILED, ttl=5.0)
    await world.store.retry([delivery.job_id])
    world.clock.advance(10)
    assert await world.store.prune(dead_letter_ttl=1.0) == 0
    assert await world.state(delivery.job_id) is JobState.QUEUED


async def test_arguments_can_be_edited(world: World) -> None:
    first = await world.bring(JobState.FAILED, args=b"old")
    second = await world.bring(JobState.FAILED, args=b"old")
    verdicts = await world.store.retry([first, second], args=b"new \x00")
    assert verdicts == ["applied", "applied"]
    for job_id in (first, second):
        assert (await world.job(job_id)).args == b"new \x00"
        (delivery,) = await world.claim(f"q-{job_id}")
        assert delivery.args == b"new \x00"


async def test_edited_arguments_of_a_job_that_is_not_retried_stay(world: World) -> None:
    job_id = await world.bring(JobState.SUCCEEDED, args=b"old")
    assert await world.store.retry([job_id], args=b"new") == ["stale"]
    assert (await world.job(job_id)).args == b"old"


async def test_progress_and_checkpoint_are_kept(world: World) -> None:
    delivery = await world.running()
    update = ProgressUpdate(
        job_id=delivery.job_id,
        queue=delivery.queue,
        token=delivery.token,
        progress=Progress(3, 10, "three"),
        checkpoint=b"page 3",
    )
    await world.store.progress([update])
    await world.finish(delivery, JobState.FAILED)
    await world.store.retry([delivery.job_id])
    assert (await world.job(delivery.job_id)).progress == Progress(3, 10, "three")
    assert (await world.again(delivery)).checkpoint == b"page 3"


async def test_a_poisoned_job_gets_all_its_lives_back(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    for _ in range(MAX_KILLS - 1):
        await world.store.hand_back(worker, kill=True)
        delivery = await world.again(delivery, by=worker)
    await world.store.hand_back(worker, kill=True)
    assert await world.state(delivery.job_id) is JobState.FAILED
    await world.store.retry([delivery.job_id])
    assert (await world.again(delivery, by=worker)).kills == 0
    assert await world.store.hand_back(worker, kill=True) == [(delivery.job_id, JobState.QUEUED)]


@each(JobState.SUCCEEDED, *LIVE)
async def test_other_states_are_not_retried(world: World, state: JobState) -> None:
    job_id = await world.bring(state)
    before = await world.job(job_id)
    assert await world.store.retry([job_id]) == ["stale"]
    assert await world.job(job_id) == before


async def test_retry_gives_each_job_its_verdict(world: World) -> None:
    failed = await world.bring(JobState.FAILED)
    live = await world.bring(JobState.QUEUED)
    assert await world.store.retry([live, failed, "missing"]) == ["stale", "applied", "missing"]
    assert await world.store.retry([]) == []


async def test_a_retried_job_goes_behind_those_that_are_queued(world: World) -> None:
    await world.submit("failed")
    (delivery,) = await world.claim()
    await world.finish(delivery, JobState.FAILED)
    await world.submit("queued")
    await world.store.retry(["failed"])
    assert await world.claimed_ids() == ["queued", "failed"]


@pytest.mark.parametrize("state", ENDED)
async def test_an_ended_job_is_discarded_with_all_that_belongs_to_it(
    world: World, state: JobState
) -> None:
    job_id = await world.bring(state, unique="k")
    assert await world.store.discard([job_id]) == ["applied"]
    assert await world.store.get([job_id]) == [None]
    assert await world.store.events(job_id) == []
    assert await world.all_pages() == []
    (queue,) = await world.store.queues()
    assert queue.count(state) == 0
    (again,) = await world.submit(job_id, unique="k")
    assert again.created
    assert len(await world.store.events(job_id)) == 1


@each(*LIVE)
async def test_a_live_job_is_not_discarded(world: World, state: JobState) -> None:
    job_id = await world.bring(state)
    before = await world.job(job_id)
    assert await world.store.discard([job_id]) == ["stale"]
    assert await world.job(job_id) == before


async def test_discard_gives_each_job_its_verdict(world: World) -> None:
    ended, live = await world.bring(JobState.FAILED), await world.bring(JobState.WAITING)
    assert await world.store.discard([live, "missing", ended]) == [
        "stale",
        "missing",
        "applied",
    ]
    assert await world.store.discard([]) == []
