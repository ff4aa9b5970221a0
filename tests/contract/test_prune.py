"""Pruning: what is deleted, when, and what never is."""

import asyncio

from ferryman.domain.states import JobState
from ferryman.stores.base import JobFilter
from tests.contract.conftest import OpenStore
from tests.contract.world import World

SUCCEEDED, FAILED = JobState.SUCCEEDED, JobState.FAILED


async def _ended(world: World, job_id: str, state: JobState, ttl: float | None) -> None:
    """A job of the queue `q` that ended now."""
    delivery = await world.running(job_id, queue="q")
    await world.finish(delivery, state, ttl=ttl, result=b"1" if state is SUCCEEDED else None)


async def _left(world: World) -> list[str]:
    return sorted(job.id for job in await world.all_pages())


async def test_a_job_goes_when_its_time_to_live_is_over(world: World) -> None:
    await _ended(world, "short", SUCCEEDED, 10.0)
    await _ended(world, "long", SUCCEEDED, 100.0)
    await _ended(world, "for-ever", SUCCEEDED, None)
    world.clock.advance(9)
    assert await world.store.prune() == 0
    assert (await world.job("short")).result == b"1"
    world.clock.advance(2)
    assert await world.store.prune() == 1
    assert await _left(world) == ["for-ever", "long"]
    assert await world.store.get(["short"]) == [None]
    assert await world.store.events("short") == []
    assert await world.store.prune() == 0


async def test_no_time_to_live_is_gone_at_once(world: World) -> None:
    await _ended(world, "a", SUCCEEDED, 0.0)
    world.clock.advance(0.001)
    await world.store.prune()
    assert await world.store.get(["a"]) == [None]


async def test_cancelled_jobs_have_a_time_to_live_too(world: World) -> None:
    await _ended(world, "a", JobState.CANCELLED, 10.0)
    world.clock.advance(11)
    assert await world.store.prune() == 1
    assert await _left(world) == []


async def test_dead_letters_stay_until_they_are_old_enough(world: World) -> None:
    await _ended(world, "old", FAILED, None)
    world.clock.advance(50)
    await _ended(world, "young", FAILED, None)
    await _ended(world, "succeeded", SUCCEEDED, None)
    world.clock.advance(50)
    assert await world.store.prune() == 0
    assert await world.store.prune(dead_letter_ttl=75.0) == 1
    assert await _left(world) == ["succeeded", "young"]


async def test_the_oldest_over_the_number_go(world: World) -> None:
    for number in range(8):
        await _ended(world, f"job-{number}", SUCCEEDED, None)
        world.clock.advance(1)
    assert await world.store.prune(max_history=5) == 3
    assert await _left(world) == [f"job-{number}" for number in range(3, 8)]
    assert await world.store.prune(max_history=5) == 0


async def test_the_number_counts_in_each_queue(world: World) -> None:
    for queue in ("a", "b"):
        for number in range(3):
            delivery = await world.running(f"{queue}-{number}", queue=queue)
            await world.finish(delivery)
            world.clock.advance(1)
    assert await world.store.prune(max_history=2) == 2
    assert await _left(world) == ["a-1", "a-2", "b-1", "b-2"]


async def test_no_history_at_all(world: World) -> None:
    await _ended(world, "a", SUCCEEDED, None)
    await _ended(world, "b", JobState.CANCELLED, None)
    assert await world.store.prune(max_history=0) == 2
    assert await _left(world) == []


async def test_live_jobs_are_never_pruned(world: World) -> None:
    live = [state for state in JobState if not state.terminal]
    ids = [await world.bring(state) for state in live]
    world.clock.advance(1e7)
    assert await world.store.prune(dead_letter_ttl=1.0, max_history=0) == 0
    assert await world.states(*ids) == live


async def test_pruning_works_in_bounded_steps(world: World) -> None:
    await world.submit(*(f"job-{number}" for number in range(25)))
    for delivery in await world.claim(limit=25):
        await world.finish(delivery, ttl=10.0)
    world.clock.advance(11)
    assert [await world.store.prune(limit=10) for _ in range(4)] == [10, 10, 5, 0]


async def test_figures_and_readers_forget_pruned_jobs(world: World) -> None:
    await _ended(world, "a", SUCCEEDED, 1.0)
    await _ended(world, "b", FAILED, None)
    world.clock.advance(2)
    await world.store.prune(dead_letter_ttl=1.0)
    (queue,) = await world.store.queues()
    assert (queue.name, queue.succeeded, queue.failed) == ("q", 0, 0)
    assert await world.store.count(JobFilter()) == 0
    (again,) = await world.submit("a")
    assert again.created


async def test_many_pruners_count_each_job_once(world: World, open_store: OpenStore) -> None:
    await world.submit(*(f"job-{number}" for number in range(30)))
    for delivery in await world.claim(limit=30):
        await world.finish(delivery, ttl=1.0)
    world.clock.advance(2)
    stores = [world.store, await open_store()]
    pruned = await asyncio.gather(*(stores[index % 2].prune(limit=9) for index in range(8)))
    assert sum(pruned) == 30
    assert await _left(world) == []
