"""Handing back: at a shutdown, after a process died, and after a reply got lost."""

from ferryman.domain.outcomes import MAX_KILLS
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import Verdict
from tests.contract.world import World

QUEUED, FAILED = JobState.QUEUED, JobState.FAILED


async def test_a_shutdown_charges_nothing(world: World) -> None:
    worker = await world.worker()
    await world.submit("a", "b")
    deliveries = await world.claim(by=worker, limit=2)
    handed = await world.store.hand_back(worker, kill=False)
    assert sorted(handed) == [("a", QUEUED), ("b", QUEUED)]
    for delivery in deliveries:
        job = await world.job(delivery.job_id)
        assert (job.state, job.reason, job.worker) == (QUEUED, Reason.HANDED_BACK, None)
        assert (job.attempts, job.kills, job.deliveries) == (0, 0, 1)
        assert await world.finish(delivery) is Verdict.STALE
    assert await world.store.hand_back(worker, kill=False) == []


async def test_a_death_charges_each_job_a_kill(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    assert await world.store.hand_back(worker, kill=True) == [(delivery.job_id, QUEUED)]
    job = await world.job(delivery.job_id)
    assert (job.reason, job.kills, job.attempts) == (Reason.LEASE_LOST, 1, 0)


async def test_the_third_death_fails_the_job(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    for _ in range(MAX_KILLS - 1):
        assert await world.store.hand_back(worker, kill=True) == [(delivery.job_id, QUEUED)]
        delivery = await world.again(delivery, by=worker)
    assert await world.store.hand_back(worker, kill=True) == [(delivery.job_id, FAILED)]
    job = await world.job(delivery.job_id)
    assert job.reason is Reason.WORKER_LOST
    assert job.failure is not None  # a dead letter says what went wrong
    assert await world.claimed_ids(delivery.queue) == []


async def test_shutdowns_never_make_a_job_fail(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    for _ in range(MAX_KILLS + 2):
        assert await world.store.hand_back(worker, kill=False) == [(delivery.job_id, QUEUED)]
        delivery = await world.again(delivery, by=worker)
    assert delivery.kills == 0


async def test_spared_jobs_are_not_charged(world: World) -> None:
    worker = await world.worker()
    guilty, spared = await world.running(by=worker), await world.running(by=worker)
    handed = await world.store.hand_back(worker, kill=True, spare={spared.job_id})
    assert sorted(handed) == sorted([(guilty.job_id, QUEUED), (spared.job_id, QUEUED)])
    assert (await world.job(guilty.job_id)).kills == 1
    assert (await world.job(spared.job_id)).kills == 0
    for one in (guilty, spared):  # its process is dead all the same
        assert (await world.job(one.job_id)).reason is Reason.LEASE_LOST


async def test_kept_jobs_stay(world: World) -> None:
    worker = await world.worker()
    kept, lost = await world.running(by=worker), await world.running(by=worker)
    handed = await world.store.hand_back(worker, kill=False, keep={kept.job_id})
    assert handed == [(lost.job_id, QUEUED)]
    assert await world.finish(kept) is Verdict.APPLIED
    assert (await world.again(lost)).deliveries == 2


async def test_a_death_costs_a_job_its_place_no_more_than_a_shutdown(world: World) -> None:
    worker = await world.worker()
    await world.submit("a", "b", "c")
    await world.claim(by=worker, limit=2)
    await world.store.hand_back(worker, kill=True)
    assert await world.claimed_ids() == ["a", "b", "c"]


async def test_only_the_named_worker_gives_back(world: World) -> None:
    first, second = await world.worker("first"), await world.worker("second")
    mine, other = await world.running(by=first), await world.running(by=second)
    await world.store.hand_back(first, kill=True)
    assert await world.states(mine.job_id, other.job_id) == [QUEUED, JobState.RUNNING]


async def test_a_job_that_runs_elsewhere_by_now_is_left_alone(world: World) -> None:
    dead, living = await world.worker("dead", 10), await world.worker("living", 100)
    old = await world.running(by=dead)
    world.clock.advance(11)
    await world.store.reap()
    new = await world.again(old, by=living)
    assert await world.store.hand_back(dead, kill=True) == []
    assert await world.finish(new) is Verdict.APPLIED


async def test_a_worker_whose_lease_is_over_may_still_give_back(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    world.clock.advance(11)
    assert await world.store.hand_back(worker, kill=False) == [(delivery.job_id, QUEUED)]
    assert (await world.job(delivery.job_id)).kills == 0


async def test_a_job_that_should_stop_is_cancelled(world: World) -> None:
    worker = await world.worker()
    for kill in (False, True):
        delivery = await world.running(by=worker)
        await world.store.cancel([delivery.job_id], by="anna")
        handed = await world.store.hand_back(worker, kill=kill)
        assert handed == [(delivery.job_id, JobState.CANCELLED)]
        assert (await world.job(delivery.job_id)).reason is Reason.CANCELLED_BY


async def test_the_lease_outlives_a_hand_back(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    await world.store.hand_back(worker, kill=False)
    assert (await world.store.renew(worker, 10)).live
    await world.again(delivery, by=worker)


async def test_a_thousand_jobs_go_back(world: World) -> None:
    worker = await world.worker()
    ids = [f"job-{number:04}" for number in range(1200)]
    await world.submit(*ids)
    assert len(await world.claim(by=worker, limit=1200)) == 1200
    assert len(await world.store.hand_back(worker, kill=False)) == 1200
    assert await world.claimed_ids(limit=1200) == ids
