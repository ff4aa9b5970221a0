"""Unique keys: one live job of a key in a queue."""

import asyncio

import pytest

from ferryman.domain.errors import JobExists
from ferryman.domain.job import Submitted
from ferryman.domain.states import JobState
from ferryman.stores.base import JobStore
from tests.contract.conftest import OpenStore
from tests.contract.world import World, new_job

LIVE = [state for state in JobState if not state.terminal]
ENDED = [state for state in JobState if state.terminal]
Q = "q"


@pytest.mark.parametrize("state", LIVE)
async def test_a_live_job_holds_its_key(world: World, state: JobState) -> None:
    await world.bring(state, "holder", unique="k", queue=Q)
    with pytest.raises(JobExists) as caught:
        await world.submit("second", unique="k", queue=Q)
    assert caught.value.job_id == "holder"
    (given,) = await world.submit("third", unique="k", queue=Q, on_conflict="return")
    assert given == Submitted("holder", Q, False)
    assert await world.store.get(["second", "third"]) == [None, None]


@pytest.mark.parametrize("state", ENDED)
async def test_an_ended_job_releases_its_key(world: World, state: JobState) -> None:
    await world.bring(state, "holder", unique="k", queue=Q)
    (second,) = await world.submit("second", unique="k", queue=Q)
    assert second.created


async def test_every_way_out_releases_the_key(world: World) -> None:
    await world.submit("cancelled", unique="k", queue=Q)
    await world.store.cancel(["cancelled"])
    await world.submit("purged", unique="k", queue=Q)
    await world.store.purge(Q)
    await world.submit("expired", unique="k", queue=Q, expires_in=1.0)
    world.clock.advance(2)
    assert await world.store.expire() == 1
    worker = await world.worker()
    await world.running("asked-to-stop", unique="k", queue=Q, by=worker)
    await world.store.cancel(["asked-to-stop"])
    await world.store.hand_back(worker, kill=False)
    assert (await world.submit("last", unique="k", queue=Q))[0].created


async def test_a_key_is_held_through_retries_and_hand_backs(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running("holder", unique="k", queue=Q, by=worker)
    await world.finish(delivery, JobState.SCHEDULED, delay=5.0, charge=1)
    await _refused(world)
    world.clock.advance(6)
    await world.store.promote()
    await _refused(world)
    await world.claim(Q, by=worker)
    await world.store.hand_back(worker, kill=True)
    await _refused(world)


async def _refused(world: World) -> None:
    with pytest.raises(JobExists):
        await world.submit("second", unique="k", queue=Q)


async def test_keys_of_other_queues_are_other_keys(world: World) -> None:
    submitted = [
        (await world.submit(f"job-{queue}", unique="k", queue=queue))[0] for queue in "abc"
    ]
    assert all(one.created for one in submitted)
    assert (await world.submit("other", unique="K", queue="a"))[0].created


async def test_a_repeated_submit_does_not_meet_its_own_key(world: World) -> None:
    await world.submit("a", unique="k", queue=Q)
    assert await world.submit("a", unique="k", queue=Q) == [Submitted("a", Q, False)]
    await world.store.cancel(["a"])
    await world.submit("b", unique="k", queue=Q)
    assert await world.submit("a", unique="k", queue=Q) == [Submitted("a", Q, False)]
    assert await world.states("a", "b") == [JobState.CANCELLED, JobState.QUEUED]


async def test_a_key_twice_in_one_batch(world: World) -> None:
    given = await world.submit("a", "b", unique="k", queue=Q, on_conflict="return")
    assert given == [Submitted("a", Q, True), Submitted("a", Q, False)]
    with pytest.raises(JobExists) as caught:
        await world.submit("c", "d", unique="other", queue=Q)
    assert caught.value.job_id == "c"
    assert await world.store.get(["b", "d"]) == [None, None]


async def test_a_mixed_batch_goes_on_past_a_returned_job(world: World) -> None:
    await world.submit("holder", unique="k", queue=Q)
    batch = [
        new_job("a", queue=Q),
        new_job("b", queue=Q, unique="k", on_conflict="return"),
        new_job("c", queue=Q, unique="free", on_conflict="return"),
    ]
    assert await world.store.submit(batch) == [
        Submitted("a", Q, True),
        Submitted("holder", Q, False),
        Submitted("c", Q, True),
    ]


async def test_a_retry_takes_the_key_again(world: World) -> None:
    await world.bring(JobState.FAILED, "a", unique="k", queue=Q)
    assert await world.store.retry(["a"]) == ["applied"]
    await _refused(world)


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
async def test_a_retry_meets_the_new_holder(world: World, state: JobState) -> None:
    await world.bring(state, "old", unique="k", queue=Q)
    await world.submit("new", unique="k", queue=Q)
    before = await world.job("old")
    assert await world.store.retry(["old"]) == ["conflict"]
    assert await world.job("old") == before
    await world.store.cancel(["new"])
    assert await world.store.retry(["old"]) == ["applied"]


async def test_two_dead_letters_of_one_key_are_not_both_retried(world: World) -> None:
    await world.bring(JobState.FAILED, "a", unique="k", queue=Q)
    await world.bring(JobState.FAILED, "b", unique="k", queue=Q)
    assert await world.store.retry(["a", "b"]) == ["applied", "conflict"]
    assert await world.states("a", "b") == [JobState.QUEUED, JobState.FAILED]


async def test_one_of_many_concurrent_submits_wins(world: World, open_store: OpenStore) -> None:
    stores = [world.store, await open_store(), await open_store()]

    async def attempt(store: JobStore, job_id: str) -> str:
        try:
            (submitted,) = await store.submit([new_job(job_id, unique="k")])
        except JobExists as error:
            return error.job_id
        assert submitted.created
        return submitted.job_id

    winners = await asyncio.gather(
        *(attempt(stores[number % 3], f"job-{number}") for number in range(15))
    )
    assert len(set(winners)) == 1
    assert await world.claimed_ids() == [winners[0]]


async def test_one_of_many_concurrent_submits_is_given_to_all(
    world: World, open_store: OpenStore
) -> None:
    stores = [world.store, await open_store(), await open_store()]
    given = await asyncio.gather(
        *(
            stores[number % 3].submit([new_job(f"job-{number}", unique="k", on_conflict="return")])
            for number in range(15)
        )
    )
    assert len({one.job_id for (one,) in given}) == 1
    assert sum(one.created for (one,) in given) == 1


async def test_one_of_many_concurrent_submits_of_an_id_creates_it(
    world: World, open_store: OpenStore
) -> None:
    stores = [world.store, await open_store(), await open_store()]
    given = await asyncio.gather(
        *(stores[number % 3].submit([new_job("a"), new_job("b")]) for number in range(15))
    )
    for index, job_id in enumerate(("a", "b")):
        assert {one[index].job_id for one in given} == {job_id}
        assert sum(one[index].created for one in given) == 1
    assert sorted(await world.claimed_ids()) == ["a", "b"]
