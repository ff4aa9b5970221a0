"""Jobs that are due later: delays, moments, and the promotion of what is due."""

import asyncio

from ferryman.domain.states import JobState, Reason
from tests.contract.conftest import OpenStore
from tests.contract.world import World, each

SCHEDULED, QUEUED = JobState.SCHEDULED, JobState.QUEUED


async def test_a_delayed_job_is_due_after_its_delay(world: World) -> None:
    await world.submit("a", delay=5.0)
    job = await world.job("a")
    assert (job.state, job.due_at) == (SCHEDULED, world.clock.moment(5))
    assert job.created_at == world.clock.moment()
    assert await world.claimed_ids() == []
    world.clock.advance(4.5)
    assert await world.store.promote() == (0, 0.5)
    assert await world.claimed_ids() == []
    world.clock.advance(0.5)
    assert await world.store.promote() == (1, None)
    job = await world.job("a")
    assert (job.state, job.reason) == (QUEUED, Reason.DUE)
    assert await world.claimed_ids() == ["a"]


async def test_a_job_may_name_its_moment(world: World) -> None:
    await world.submit("a", run_at=world.clock() + 90_500)
    job = await world.job("a")
    assert (job.state, job.due_at) == (SCHEDULED, world.clock.moment(90.5))
    assert await world.store.promote() == (0, 90.5)
    world.clock.advance(91)
    assert await world.store.promote() == (1, None)


async def test_a_moment_that_is_past_is_now(world: World) -> None:
    await world.submit("a", run_at=world.clock() - 5000)
    await world.store.promote()
    assert await world.claimed_ids() == ["a"]


async def test_fractions_of_a_second_count(world: World) -> None:
    await world.submit("a", delay=0.25)
    assert await world.store.promote() == (0, 0.25)
    world.clock.advance(0.25)
    assert await world.store.promote() == (1, None)


async def test_the_next_due_job_is_the_earliest_of_all_queues(world: World) -> None:
    assert await world.store.promote() == (0, None)
    for queue, delay in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        await world.submit(f"job-{queue}", queue=queue, delay=delay)
    assert await world.store.promote() == (0, 10.0)
    world.clock.advance(10)
    assert await world.store.promote() == (1, 10.0)
    await world.store.cancel(["job-c"])
    assert await world.store.promote() == (0, 20.0)


async def test_what_was_due_first_goes_first(world: World) -> None:
    await world.submit("later", delay=3.0)
    await world.submit("sooner", delay=1.0)
    world.clock.advance(5)
    assert await world.store.promote() == (2, None)
    assert await world.claimed_ids() == ["sooner", "later"]


async def test_promoted_jobs_keep_their_priority(world: World) -> None:
    await world.submit("normal")
    await world.submit("urgent", priority=20, delay=1.0)
    world.clock.advance(2)
    await world.store.promote()
    assert await world.claimed_ids() == ["urgent", "normal"]


async def test_promotion_works_in_bounded_steps(world: World) -> None:
    await world.submit(*(f"job-{number}" for number in range(25)), delay=1.0)
    await world.submit("much-later", delay=100.0)
    world.clock.advance(2)
    moved, until_next = await world.store.promote(limit=10)
    assert moved == 10
    assert until_next is not None
    assert until_next <= 0
    assert (await world.store.promote(limit=10))[0] == 10
    assert await world.store.promote(limit=10) == (5, 98.0)
    assert len(await world.claimed_ids()) == 25


async def test_many_promoters_move_each_job_once(world: World, open_store: OpenStore) -> None:
    ids = [f"job-{number:02}" for number in range(40)]
    await world.submit(*ids, delay=1.0)
    world.clock.advance(2)
    stores = [world.store, await open_store()]
    moved = await asyncio.gather(*(stores[index % 2].promote(limit=9) for index in range(8)))
    assert sum(count for count, _ in moved) == 40
    assert sorted(await world.claimed_ids()) == ids
    for job_id in ids[:5]:
        assert len(await world.store.events(job_id)) == 3


async def test_a_snoozed_job_runs_later_at_no_charge(world: World) -> None:
    delivery = await world.running()
    await world.finish(delivery, SCHEDULED, reason=Reason.SNOOZED, delay=60.0)
    job = await world.job(delivery.job_id)
    assert (job.state, job.reason, job.attempts) == (SCHEDULED, Reason.SNOOZED, 0)
    world.clock.advance(60)
    await world.store.promote()
    assert (await world.again(delivery)).attempts == 0


@each(86400.0 * 365, 1e-3)
async def test_very_long_and_very_short_delays(world: World, delay: float) -> None:
    job_id = world.fresh_id()
    await world.submit(job_id, delay=delay)
    assert (await world.job(job_id)).due_at == world.clock.moment(delay)
    world.clock.advance(delay)
    assert await world.store.promote() == (1, None)
