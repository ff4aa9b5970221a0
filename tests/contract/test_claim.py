"""Claims: order, limits, who may, and that every delivery happens once."""

import asyncio
import random

import pytest

from ferryman.domain.errors import LeaseLost
from ferryman.domain.job import JobOptions
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ClaimRequest
from tests.contract.conftest import OpenStore
from tests.contract.world import World, new_job


async def test_a_claimed_job_runs_under_a_new_token(world: World) -> None:
    await world.submit("a", args=b"[[1],{}]", user="anna", options=JobOptions(timeout=3.0))
    world.clock.advance(2)
    worker = await world.tireless()
    (delivery,) = await world.claim()
    assert (delivery.job_id, delivery.task, delivery.queue) == ("a", "work", "default")
    assert (delivery.args, delivery.user) == (b"[[1],{}]", "anna")
    assert delivery.options == JobOptions(timeout=3.0)
    assert 0 < delivery.token < 2**53
    assert (delivery.deliveries, delivery.attempts, delivery.kills) == (1, 0, 0)
    assert delivery.checkpoint is None
    job = await world.job("a")
    assert (job.state, job.reason) == (JobState.RUNNING, Reason.CLAIMED)
    assert (job.token, job.deliveries) == (delivery.token, 1)
    assert job.started_at == world.clock.moment()
    assert job.worker == worker.id


async def test_the_token_only_grows(world: World) -> None:
    delivery = await world.running()
    seen = [delivery.token]
    for _ in range(4):
        await world.finish(delivery, JobState.QUEUED)
        delivery = await world.again(delivery)
        seen.append(delivery.token)
    assert seen == sorted(set(seen))
    assert delivery.deliveries == 5
    await world.finish(delivery, JobState.FAILED)
    await world.store.retry([delivery.job_id])
    assert (await world.again(delivery)).token > seen[-1]


async def test_the_token_grows_over_all_lives_of_an_id(world: World) -> None:
    """A worker that hangs since an earlier life must not hold the token of a later one."""
    first = await world.running("a")
    await world.finish(first)
    await world.store.discard(["a"])
    world.clock.advance(1)
    second = await world.running("a")
    assert (second.deliveries, second.attempts) == (1, 0)
    assert second.token > first.token
    assert await world.finish(first) == "stale"
    assert await world.finish(second) == "applied"


async def test_first_in_first_out(world: World) -> None:
    ids = [f"job-{number}" for number in random.sample(range(100), 20)]
    for job_id in ids:
        await world.submit(job_id)
    assert await world.claimed_ids() == ids


async def test_higher_priorities_go_first(world: World) -> None:
    priorities = [0, 20, -10, 10, 20, 0, 999, -1000, 1000, 3]
    jobs = [new_job(f"job-{index}", priority=priority) for index, priority in enumerate(priorities)]
    await world.store.submit(jobs)
    expected = sorted(range(len(jobs)), key=lambda index: (-priorities[index], index))
    assert await world.claimed_ids() == [f"job-{index}" for index in expected]


async def test_priorities_hold_from_claim_to_claim(world: World) -> None:
    await world.submit("low-1", "low-2", priority=-10)
    await world.submit("high", priority=10)
    assert await world.claimed_ids(limit=1) == ["high"]
    assert await world.claimed_ids(limit=1) == ["low-1"]
    await world.submit("urgent", priority=20)
    assert await world.claimed_ids(limit=1) == ["urgent"]
    assert await world.claimed_ids(limit=1) == ["low-2"]


async def test_all_of_a_queue_comes_before_the_next(world: World) -> None:
    await world.submit("b-urgent", queue="b", priority=20)
    await world.submit("a-low", queue="a", priority=-10)
    await world.submit("c", queue="c")
    assert await world.claimed_ids("a", "b", "c") == ["a-low", "b-urgent", "c"]


async def test_a_claim_spans_queues_up_to_its_limit(world: World) -> None:
    for queue in "abc":
        await world.submit(f"{queue}-1", f"{queue}-2", queue=queue)
    assert await world.claimed_ids("c", "a", limit=3) == ["c-1", "c-2", "a-1"]
    assert await world.claimed_ids("c", "a", limit=3) == ["a-2"]
    assert await world.claimed_ids("c", "a", limit=3) == []
    assert await world.claimed_ids("b", limit=1) == ["b-1"]


async def test_only_the_named_queues_are_claimed_from(world: World) -> None:
    await world.submit("a", queue="a")
    assert await world.claimed_ids("b") == []
    assert await world.state("a") is JobState.QUEUED


async def test_an_ordinary_hand_back_goes_to_the_front(world: World) -> None:
    worker = await world.worker()
    await world.submit("first", "second", "third")
    assert [one.job_id for one in await world.claim(by=worker)] == ["first"]
    await world.store.hand_back(worker, kill=False)
    assert await world.claimed_ids() == ["first", "second", "third"]


async def test_several_jobs_handed_back_keep_their_order(world: World) -> None:
    worker = await world.worker()
    await world.submit("a", "b", "c", "d", "e")
    assert len(await world.claim(by=worker, limit=3)) == 3
    await world.store.hand_back(worker, kill=False)
    assert await world.claimed_ids() == ["a", "b", "c", "d", "e"]


async def test_a_hand_back_does_not_overtake_a_higher_priority(world: World) -> None:
    worker = await world.worker()
    await world.submit("low", priority=-10)
    await world.claim(by=worker)
    await world.submit("normal")
    await world.store.hand_back(worker, kill=False)
    assert await world.claimed_ids() == ["normal", "low"]


async def test_a_worker_without_a_lease_claims_nothing(world: World) -> None:
    await world.submit("a")
    with pytest.raises(LeaseLost):
        await world.store.claim(ClaimRequest(worker="unknown", queues=("default",), limit=1))
    worker = await world.worker()
    world.clock.advance(10.5)
    with pytest.raises(LeaseLost):
        await world.claim(by=worker)
    with pytest.raises(LeaseLost):
        await world.claim("empty", by=worker)
    assert await world.state("a") is JobState.QUEUED
    assert (await world.job("a")).deliveries == 0


async def test_an_expired_job_is_passed_over(world: World) -> None:
    await world.submit("stale-1", "stale-2", expires_in=5.0)
    await world.submit("fresh")
    world.clock.advance(6)
    assert await world.claimed_ids(limit=1) == ["fresh"]
    assert await world.states("stale-1", "stale-2") != [JobState.RUNNING] * 2
    assert (await world.job("stale-1")).deliveries == 0


async def test_many_claimers_get_each_delivery_once(world: World, open_store: OpenStore) -> None:
    total, claimers = 400, 9
    jobs = [new_job(f"job-{number:03}", priority=number % 3) for number in range(total)]
    await world.store.submit(jobs)
    stores = [world.store, await open_store(), await open_store()]
    start = asyncio.Barrier(claimers)

    async def drain(number: int) -> list[tuple[str, int]]:
        worker = await world.worker(f"w{number}")
        store = stores[number % len(stores)]
        taken: list[tuple[str, int]] = []
        await start.wait()
        while True:
            request = ClaimRequest(worker=worker.id, queues=("default",), limit=1 + number)
            batch = await store.claim(request)
            if not batch:
                return taken
            taken += [(delivery.job_id, delivery.token) for delivery in batch]

    async with asyncio.timeout(60):
        taken = await asyncio.gather(*map(drain, range(claimers)))
    deliveries = [delivery for one in taken for delivery in one]
    assert len(deliveries) == len(set(deliveries)) == total
    assert {job_id for job_id, _ in deliveries} == {job.id for job in jobs}
    (queue,) = await world.store.queues()
    assert (queue.queued, queue.running) == (0, total)


async def test_claimers_and_producers_at_once_lose_nothing(
    world: World, open_store: OpenStore
) -> None:
    other = await open_store()
    expected = {f"job-{producer}-{number}" for producer in range(4) for number in range(40)}
    taken: list[str] = []

    async def produce(producer: int) -> None:
        store = (world.store, other)[producer % 2]
        for number in range(0, 40, 5):
            names = (f"job-{producer}-{number + offset}" for offset in range(5))
            await store.submit([new_job(name) for name in names])

    async def consume(number: int) -> None:
        worker = await world.worker(f"w{number}")
        request = ClaimRequest(worker=worker.id, queues=("default",), limit=7)
        while len(taken) < len(expected):
            store = (other, world.store)[number % 2]
            taken.extend(delivery.job_id for delivery in await store.claim(request))
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(produce, range(4)), *map(consume, range(4)))
    assert len(taken) == len(expected)
    assert set(taken) == expected
