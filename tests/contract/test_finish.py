"""Endings: what they write, which are refused, and that repeating one is safe."""

import asyncio

import msgspec
import pytest

from ferryman.domain.errors import LeaseLost
from ferryman.domain.outcomes import Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ClaimRequest, Verdict
from tests.contract.conftest import OpenStore
from tests.contract.test_submit import ODD_VALUES, packed
from tests.contract.world import REASONS, World, each, ending

FAILURE = Failure(kind="builtins.ValueError", message="no such file: é\x00", traceback="…\nlines")


async def test_success_keeps_the_result(world: World) -> None:
    delivery = await world.running()
    world.clock.advance(3)
    assert await world.finish(delivery, result=b'{"total":1.0}', ttl=60.0) is Verdict.APPLIED
    job = await world.job(delivery.job_id)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, Reason.RETURNED)
    assert job.result == b'{"total":1.0}'
    assert job.finished_at == world.clock.moment()
    assert (job.attempts, job.failure) == (0, None)


@each(*ODD_VALUES)
async def test_results_come_back_byte_for_byte(world: World, kind: str) -> None:
    delivery = await world.running()
    result = packed(ODD_VALUES[kind])
    await world.finish(delivery, result=result)
    assert (await world.job(delivery.job_id)).result == result


async def test_failure_keeps_the_error_and_charges_the_attempt(world: World) -> None:
    delivery = await world.running()
    await world.finish(
        delivery, JobState.FAILED, reason=Reason.EXHAUSTED, charge=1, failure=FAILURE, detail="d"
    )
    job = await world.job(delivery.job_id)
    assert (job.state, job.reason, job.detail) == (JobState.FAILED, Reason.EXHAUSTED, "d")
    assert (job.attempts, job.failure) == (1, FAILURE)
    assert job.finished_at == world.clock.moment()


async def test_a_retry_is_due_after_its_delay(world: World) -> None:
    delivery = await world.running()
    world.clock.advance(1)
    await world.finish(
        delivery, JobState.SCHEDULED, delay=30.0, charge=1, failure=FAILURE, reason=Reason.RETRY
    )
    job = await world.job(delivery.job_id)
    assert (job.state, job.reason, job.attempts) == (JobState.SCHEDULED, Reason.RETRY, 1)
    assert job.due_at == world.clock.moment(30)
    assert job.failure == FAILURE
    assert job.finished_at is None
    world.clock.advance(29)
    moved, until_next = await world.store.promote()
    assert (moved, until_next) == (0, 1.0)
    world.clock.advance(2)
    assert await world.store.promote() == (1, None)
    following = await world.again(delivery)
    assert (following.attempts, following.deliveries) == (1, 2)
    assert following.token > delivery.token


async def test_an_immediate_retry_is_queued_at_once(world: World) -> None:
    delivery = await world.running()
    await world.finish(delivery, JobState.QUEUED, charge=1, reason=Reason.RETRY)
    following = await world.again(delivery)
    assert (following.attempts, following.deliveries) == (1, 2)


@pytest.mark.parametrize(
    ("reason", "order"),
    [
        (Reason.RETRY, ["second", "first"]),
        (Reason.HANDED_BACK, ["first", "second"]),
        (Reason.LEASE_LOST, ["first", "second"]),
    ],
)
async def test_only_a_retry_takes_its_turn_again(
    world: World, reason: Reason, order: list[str]
) -> None:
    await world.submit("first", "second")
    (delivery,) = await world.claim()
    await world.finish(delivery, JobState.QUEUED, reason=reason)
    assert await world.claimed_ids() == order


async def test_a_kill_is_charged_where_the_ending_says_so(world: World) -> None:
    delivery = await world.running()
    await world.finish(delivery, JobState.QUEUED, kill=1, reason=Reason.LEASE_LOST)
    following = await world.again(delivery)
    assert (following.kills, following.attempts) == (1, 0)


@each(*REASONS)
async def test_a_stale_token_ends_nothing(world: World, state: JobState) -> None:
    old = await world.running()
    await world.store.hand_back(await world.tireless(), kill=False)
    new = await world.again(old)
    before = await world.job(old.job_id)
    assert await world.finish(old, state, result=b"late", charge=1) is Verdict.STALE
    assert await world.job(old.job_id) == before
    assert await world.finish(new, result=b"in time") is Verdict.APPLIED


@each(-1, 1, 1000)
async def test_a_token_that_never_was_ends_nothing(world: World, offset: int) -> None:
    delivery = await world.running()
    forged = msgspec.structs.replace(delivery, token=delivery.token + offset)
    assert await world.finish(forged) is Verdict.STALE
    assert await world.state(delivery.job_id) is JobState.RUNNING


async def test_a_job_that_went_back_is_not_ended_by_its_last_holder(world: World) -> None:
    delivery = await world.running()
    await world.store.hand_back(await world.tireless(), kill=False)
    assert await world.finish(delivery) is Verdict.STALE
    assert await world.state(delivery.job_id) is JobState.QUEUED


@each(*REASONS)
async def test_a_repeated_ending_is_applied_again_and_changes_nothing(
    world: World, state: JobState
) -> None:
    delivery = await world.running()
    delay = 30.0 if state is JobState.SCHEDULED else 0.0
    one = ending(delivery, state, delay=delay, charge=1, result=b"1", ttl=60.0)
    assert await world.store.finish([one]) == ["applied"]
    before, history = await world.job(delivery.job_id), await world.store.events(delivery.job_id)
    world.clock.advance(1)
    assert await world.store.finish([one]) == ["applied"]
    assert await world.job(delivery.job_id) == before
    assert await world.store.events(delivery.job_id) == history


async def test_another_ending_of_an_ended_delivery_is_stale(world: World) -> None:
    delivery = await world.running()
    assert await world.finish(delivery, result=b"1") is Verdict.APPLIED
    assert await world.finish(delivery, JobState.FAILED) is Verdict.STALE
    assert await world.state(delivery.job_id) is JobState.SUCCEEDED


async def test_a_missing_job_is_missing(world: World) -> None:
    delivery = await world.running()
    ghost = msgspec.structs.replace(delivery, job_id="ghost")
    assert await world.finish(ghost) is Verdict.MISSING


async def test_many_endings_get_a_verdict_each_in_their_order(world: World) -> None:
    good = [await world.running() for _ in range(3)]
    gone = msgspec.structs.replace(good[0], job_id="ghost")
    old = await world.running()
    await world.finish(old)
    stale = msgspec.structs.replace(old, token=old.token + 7)
    endings = [
        ending(good[0]),
        ending(gone),
        ending(good[1], JobState.FAILED, charge=1),
        ending(stale),
        ending(good[2], JobState.QUEUED),
    ]
    assert await world.store.finish(endings) == [
        "applied",
        "missing",
        "applied",
        "stale",
        "applied",
    ]
    assert await world.states(*(one.job_id for one in good)) == [
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.QUEUED,
    ]


async def test_no_endings_are_nothing(world: World) -> None:
    assert await world.store.finish([]) == []


async def test_one_of_many_finishers_wins(world: World, open_store: OpenStore) -> None:
    delivery = await world.running()
    stores = [world.store, await open_store()]
    endings = [
        ending(delivery, JobState.SUCCEEDED if index % 2 else JobState.FAILED, result=b"1")
        for index in range(8)
    ]
    verdicts = await asyncio.gather(
        *(stores[index % 2].finish([one]) for index, one in enumerate(endings))
    )
    final = await world.state(delivery.job_id)
    for one, (verdict,) in zip(endings, verdicts, strict=True):
        assert verdict == ("applied" if one.state is final else "stale")
    assert len(await world.store.events(delivery.job_id)) == 3


async def test_finish_and_claim_does_both(world: World) -> None:
    worker = await world.tireless()
    await world.submit("a", "b", "c")
    (first,) = await world.claim()
    request = ClaimRequest(worker=worker.id, queues=("default",), limit=5)
    verdicts, deliveries = await world.store.finish_and_claim([ending(first)], request)
    assert verdicts == ["applied"]
    assert [delivery.job_id for delivery in deliveries] == ["b", "c"]
    assert await world.state("a") is JobState.SUCCEEDED
    assert await world.state("b") is JobState.RUNNING


async def test_finish_and_claim_can_get_the_same_job_again(world: World) -> None:
    worker = await world.tireless()
    await world.submit("a")
    (first,) = await world.claim()
    request = ClaimRequest(worker=worker.id, queues=("default",), limit=1)
    verdicts, (again,) = await world.store.finish_and_claim(
        [ending(first, JobState.QUEUED)], request
    )
    assert verdicts == ["applied"]
    assert (again.job_id, again.deliveries) == ("a", 2)


async def test_finish_and_claim_with_nothing_to_end_or_to_claim(world: World) -> None:
    worker = await world.tireless()
    request = ClaimRequest(worker=worker.id, queues=("default",), limit=1)
    assert await world.store.finish_and_claim([], request) == ([], [])


async def test_finish_and_claim_needs_a_lease(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    await world.submit("b")
    world.clock.advance(11)
    request = ClaimRequest(worker=worker.id, queues=("default",), limit=1)
    with pytest.raises(LeaseLost):
        await world.store.finish_and_claim([ending(delivery)], request)
    assert await world.state("b") is JobState.QUEUED


async def test_a_finish_in_time_counts_though_the_lease_is_over(world: World) -> None:
    """Only the token fences: until someone reaped the job, its holder may still end it."""
    worker = await world.worker()
    delivery = await world.running(by=worker)
    world.clock.advance(11)
    assert await world.finish(delivery) is Verdict.APPLIED
    assert await world.store.reap() == []
