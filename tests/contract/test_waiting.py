"""Hints: waiting for work and for a job's end, in real time."""

import asyncio
import time
from collections.abc import Awaitable

import pytest

from ferryman.domain.states import JobState
from tests.contract.conftest import OpenStore
from tests.contract.world import World

SOON = 5.0
"""Seconds within which a waiting call notices; far below `LONG`, also on a busy machine."""
LONG = 30.0


async def timed(waiting: Awaitable[object]) -> float:
    """The seconds that `waiting` took."""
    begun = time.monotonic()
    await waiting
    return time.monotonic() - begun


async def after_a_turn(action: Awaitable[object]) -> None:
    """Do `action` once the call beside it has begun to wait."""
    await asyncio.sleep(0.05)
    await action


async def test_queued_work_is_noticed_at_once(world: World) -> None:
    await world.submit("a")
    assert await timed(world.store.wait_for_work(["other", "default"], LONG)) < SOON


@pytest.mark.parametrize("queue", ["first", "second"])
async def test_new_work_is_noticed_soon(world: World, open_store: OpenStore, queue: str) -> None:
    other = World(await open_store(), world.clock)
    took, _ = await asyncio.gather(
        timed(world.store.wait_for_work(["first", "second"], LONG)),
        after_a_turn(other.submit("a", queue=queue)),
    )
    assert took < SOON


async def test_work_that_comes_back_is_noticed_soon(world: World, open_store: OpenStore) -> None:
    delivery = await world.running(queue="default")
    other = await open_store()
    worker = await world.tireless()
    took, _ = await asyncio.gather(
        timed(world.store.wait_for_work(["default"], LONG)),
        after_a_turn(other.hand_back(worker, kill=False)),
    )
    assert took < SOON
    assert (await world.again(delivery)).job_id == delivery.job_id


async def test_a_wait_without_work_ends_with_its_timeout(world: World) -> None:
    took = await timed(world.store.wait_for_work(["default"], 0.3))
    assert 0.2 < took < SOON + 0.3


async def test_an_ended_job_is_returned_at_once(world: World) -> None:
    delivery = await world.running()
    await world.finish(delivery, result=b"1")
    job = await world.store.wait_for_end(delivery.job_id, LONG)
    assert job is not None
    assert (job.state, job.result) == (JobState.SUCCEEDED, b"1")


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
async def test_an_end_is_noticed_soon(world: World, open_store: OpenStore, state: JobState) -> None:
    delivery = await world.running()
    other = World(await open_store(), world.clock)

    async def wait() -> JobState:
        job = await world.store.wait_for_end(delivery.job_id, LONG)
        assert job is not None
        return job.state

    begun = time.monotonic()
    reached, _ = await asyncio.gather(wait(), after_a_turn(other.finish(delivery, state)))
    assert reached is state
    assert time.monotonic() - begun < SOON


async def test_a_cancelled_job_wakes_who_waits_for_it(world: World, open_store: OpenStore) -> None:
    await world.submit("a")
    other = await open_store()
    took, _ = await asyncio.gather(
        timed(world.store.wait_for_end("a", LONG)), after_a_turn(other.cancel(["a"]))
    )
    assert took < SOON


async def test_a_retry_is_no_end(world: World, open_store: OpenStore) -> None:
    delivery = await world.running()
    other = World(await open_store(), world.clock)
    retry = other.finish(delivery, JobState.SCHEDULED, delay=60.0)
    job, _ = await asyncio.gather(
        world.store.wait_for_end(delivery.job_id, 0.5), after_a_turn(retry)
    )
    assert job is not None
    assert job.state is JobState.SCHEDULED


async def test_a_job_that_does_not_end_is_returned_as_it_is(world: World) -> None:
    await world.submit("a")
    begun = time.monotonic()
    job = await world.store.wait_for_end("a", 0.3)
    assert time.monotonic() - begun < SOON + 0.3
    assert job is not None
    assert job.state is JobState.QUEUED


async def test_nobody_waits_for_a_job_that_is_not_there(world: World) -> None:
    assert await world.store.wait_for_end("missing", 0.3) is None


async def test_many_may_wait_at_once(world: World, open_store: OpenStore) -> None:
    deliveries = [await world.running() for _ in range(20)]
    other = await open_store()
    waiters = [world.store.wait_for_end(one.job_id, LONG) for one in deliveries]
    ends = [World(other, world.clock).finish(one) for one in reversed(deliveries)]
    begun = time.monotonic()
    jobs, _ = await asyncio.gather(
        asyncio.gather(*waiters), asyncio.gather(*map(after_a_turn, ends))
    )
    assert [job.id for job in jobs if job] == [one.job_id for one in deliveries]
    assert time.monotonic() - begun < 2 * SOON


async def test_an_abandoned_wait_leaves_the_store_usable(world: World) -> None:
    for waiting in (
        world.store.wait_for_work(["default"], LONG),
        world.store.wait_for_end("missing-or-not", LONG),
    ):
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await world.submit("a")
    assert await world.claimed_ids() == ["a"]
