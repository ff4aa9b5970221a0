"""Queues: figures, pause, resume and purge."""

from ferryman.domain.job import QueueInfo
from ferryman.domain.states import JobState, Reason
from tests.contract.world import World

S = JobState


async def info(world: World, name: str = "default") -> QueueInfo:
    """The figures of one queue."""
    found = {queue.name: queue for queue in await world.store.queues()}
    return found[name]


async def test_an_empty_store_has_no_queues(world: World) -> None:
    assert await world.store.queues() == []


async def test_queues_are_listed_by_name(world: World) -> None:
    for name in ("b", "c", "a"):
        await world.submit(f"job-{name}", queue=name)
    await world.store.pause("d")
    assert [queue.name for queue in await world.store.queues()] == ["a", "b", "c", "d"]


async def test_figures_follow_every_state(world: World) -> None:
    for number, state in enumerate(S):
        for copy in range(number + 1):
            await world.bring(state, f"{state}-{copy}", queue="q")
            if state is S.QUEUED:  # out of the way of the claims that follow
                await world.store.pause("q")
                await world.store.cancel([f"{state}-{copy}"])
                await world.store.discard([f"{state}-{copy}"])
                await world.store.resume("q")
    figures = await info(world, "q")
    for number, state in enumerate(S):
        assert figures.count(state) == (0 if state is S.QUEUED else number + 1), state


async def test_figures_follow_one_job_through_its_life(world: World) -> None:
    async def where() -> S:
        figures = await info(world)
        (state,) = [state for state in S if figures.count(state)]
        assert figures.count(state) == 1
        return state

    await world.submit("a", delay=1.0)
    assert await where() is S.SCHEDULED
    world.clock.advance(1)
    await world.store.promote()
    assert await where() is S.QUEUED
    (first,) = await world.claim()
    assert await where() is S.RUNNING
    await world.finish(first, S.SCHEDULED, delay=1.0)
    assert await where() is S.SCHEDULED
    world.clock.advance(1)
    await world.store.promote()
    (second,) = await world.claim()
    world.clock.advance(1e9)
    await world.store.reap()
    assert await where() is S.QUEUED
    assert second.token > first.token
    (third,) = await world.claim()
    await world.finish(third, S.FAILED)
    assert await where() is S.FAILED
    await world.store.retry(["a"])
    assert await where() is S.QUEUED
    await world.store.cancel(["a"])
    assert await where() is S.CANCELLED
    await world.store.discard(["a"])
    figures = await info(world)
    assert all(figures.count(state) == 0 for state in S)


async def test_the_oldest_queued_job_gives_the_age(world: World) -> None:
    await world.submit("low", priority=-10)
    world.clock.advance(5)
    await world.submit("high", priority=10)
    await world.submit("later", delay=100.0)
    world.clock.advance(3)
    assert (await info(world)).oldest_age == 8.0
    assert await world.claimed_ids(limit=1) == ["high"]
    assert (await info(world)).oldest_age == 8.0
    assert await world.claimed_ids(limit=1) == ["low"]
    assert (await info(world)).oldest_age is None


async def test_waiting_begins_when_a_job_is_due(world: World) -> None:
    await world.submit("a", delay=60.0)
    world.clock.advance(60)
    await world.store.promote()
    world.clock.advance(2)
    assert (await info(world)).oldest_age == 2.0


async def test_a_paused_queue_gives_nothing(world: World) -> None:
    await world.submit("a")
    await world.store.pause("default")
    await world.store.pause("default")
    assert (await info(world)).paused
    assert await world.claimed_ids() == []
    await world.submit("b")
    assert (await info(world)).queued == 2
    await world.store.resume("default")
    await world.store.resume("default")
    assert not (await info(world)).paused
    assert await world.claimed_ids() == ["a", "b"]


async def test_a_pause_does_not_concern_other_queues(world: World) -> None:
    await world.submit("a", queue="a")
    await world.submit("b", queue="b")
    await world.store.pause("a")
    assert await world.claimed_ids("a", "b") == ["b"]


async def test_what_runs_in_a_paused_queue_goes_on(world: World) -> None:
    delivery = await world.running(queue="default")
    other = await world.running(queue="default")
    await world.store.pause("default")
    assert await world.finish(delivery) == "applied"
    assert await world.finish(other, S.QUEUED) == "applied"
    assert await world.claimed_ids() == []


async def test_due_jobs_of_a_paused_queue_wait_in_it(world: World) -> None:
    await world.submit("a", delay=1.0)
    await world.store.pause("default")
    world.clock.advance(2)
    await world.store.promote()
    assert await world.claimed_ids() == []
    await world.store.resume("default")
    assert await world.claimed_ids() == ["a"]


async def test_purge_cancels_what_has_not_begun(world: World) -> None:
    ids = {state: f"job-{state}" for state in S}
    for state in (S.RUNNING, S.SUCCEEDED, S.FAILED, S.CANCELLED):
        await world.bring(state, ids[state], queue="q")
    for state in (S.SCHEDULED, S.WAITING, S.QUEUED):
        await world.bring(state, ids[state], queue="q", unique=f"k-{state}")
    await world.submit("elsewhere", queue="other")
    assert await world.store.purge("q") == 3
    for state in (S.SCHEDULED, S.WAITING, S.QUEUED):
        job = await world.job(ids[state])
        assert (job.state, job.reason) == (S.CANCELLED, Reason.CANCELLED_BY)
        assert (await world.store.events(job.id))[-1].source is state
    for state in (S.RUNNING, S.SUCCEEDED, S.FAILED, S.CANCELLED):
        assert await world.state(ids[state]) is state
    assert await world.state("elsewhere") is S.QUEUED
    figures = await info(world, "q")
    assert (figures.queued, figures.scheduled, figures.waiting) == (0, 0, 0)
    assert await world.store.purge("q") == 0
    assert await world.store.purge("never-seen") == 0


async def test_purge_empties_a_long_queue(world: World) -> None:
    await world.submit(*(f"job-{number}" for number in range(1200)))
    assert await world.store.purge("default") == 1200
    assert (await info(world)).cancelled == 1200
    assert await world.claimed_ids() == []


async def test_a_purged_queue_takes_new_jobs(world: World) -> None:
    await world.submit("old")
    await world.store.purge("default")
    await world.submit("new")
    assert await world.claimed_ids() == ["new"]
