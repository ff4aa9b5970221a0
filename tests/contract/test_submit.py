"""Taking jobs in: records, idempotence, limits of what a batch promises."""

import json
from typing import Any

import pytest

from ferryman.domain.errors import ConfigError, JobExists
from ferryman.domain.job import JobOptions, NewJob, Submitted
from ferryman.domain.policy import RetryPolicy
from ferryman.domain.states import JobState, Reason
from tests.contract.world import World, each, new_job

ODD_VALUES: dict[str, Any] = {
    "large integers": [2**70, -(2**63), 2**53 + 1],
    "empty containers": [[], {}, [[]], {"a": []}],
    "floats": [1.0, 0.1, -0.0, 1e308, 5e-324],
    "text": ["", "é", "日本", "\U0001f6a2", "\u0000", "\r\n", '"', "{tag}", "\\"],
    "null and booleans": [None, True, False],
    "long text": "x" * 900 * 1024,
}


def packed(value: Any) -> bytes:
    return json.dumps([[value], {}]).encode()


async def test_a_job_is_queued_with_all_that_it_was_given(world: World) -> None:
    options = JobOptions(
        retry=RetryPolicy(max_attempts=7, delays=(0, 1.5), on=("ValueError",)),
        timeout=12.5,
        result_ttl=60.0,
        version=3,
    )
    job = new_job(
        "receipt-17",
        task="read_receipt",
        queue="ocr",
        args=b'[[17],{"user":1}]',
        priority=-7,
        expires_in=3600.0,
        unique="receipt:17",
        user="anna@example.org",
        tags=("b", "a"),
        options=options,
    )
    assert await world.store.submit([job]) == [Submitted("receipt-17", "ocr", True)]
    stored = await world.job("receipt-17")
    assert stored.state is JobState.QUEUED
    assert stored.reason is Reason.SUBMITTED
    assert (stored.task, stored.queue, stored.priority) == ("read_receipt", "ocr", -7)
    assert stored.args == b'[[17],{"user":1}]'
    assert stored.options == options
    assert (stored.unique, stored.user) == ("receipt:17", "anna@example.org")
    assert sorted(stored.tags) == ["a", "b"]
    assert stored.created_at == stored.due_at == world.clock.moment()
    assert stored.expires_at == world.clock.moment(3600)
    assert (stored.deliveries, stored.attempts, stored.kills) == (0, 0, 0)
    assert (stored.started_at, stored.finished_at, stored.worker) == (None, None, None)
    assert (stored.result, stored.failure, stored.progress) == (None, None, None)
    assert not stored.cancel_requested


async def test_what_is_left_out_is_empty(world: World) -> None:
    await world.submit("a")
    stored = await world.job("a")
    assert stored.options == JobOptions()
    assert (stored.unique, stored.user, stored.expires_at) == (None, None, None)
    assert (stored.tags, stored.priority, stored.detail) == ((), 0, "")


@each(*ODD_VALUES)
async def test_arguments_come_back_byte_for_byte(world: World, kind: str) -> None:
    args = packed(ODD_VALUES[kind])
    job_id = world.fresh_id()
    await world.submit(job_id, args=args)
    assert (await world.job(job_id)).args == args
    (delivery,) = await world.claim()
    assert delivery.args == args


async def test_arguments_are_bytes_of_any_kind(world: World) -> None:
    args = bytes(range(256)) + b"\xff\xfe\x00'; DROP TABLE jobs; --\x00"
    await world.submit("a", args=args)
    assert (await world.job("a")).args == args


async def test_a_repeated_submit_is_the_same_job(world: World) -> None:
    (first,) = await world.submit("a", args=b"1", priority=5, unique="k")
    before = await world.job("a")
    world.clock.advance(5)
    (again,) = await world.submit("a", args=b"2", priority=9, queue="default", unique="k")
    assert first.created
    assert again == Submitted("a", "default", False)
    assert await world.job("a") == before
    assert await world.claimed_ids() == ["a"]
    assert await world.claimed_ids() == []


async def test_an_id_is_taken_whatever_the_queue_says(world: World) -> None:
    if world.store.kind == "valkey":
        pytest.skip("the keys of a queue share a slot, so ids belong to their queue")
    await world.submit("a", queue="here")
    assert await world.submit("a", queue="there") == [Submitted("a", "here", False)]
    assert await world.claimed_ids("there") == []
    assert await world.claimed_ids("here") == ["a"]


@each(*JobState)
async def test_a_repeated_submit_changes_no_job_in_any_state(world: World, state: JobState) -> None:
    job_id = await world.bring(state)
    before, history = await world.job(job_id), await world.store.events(job_id)
    queue = before.queue
    assert await world.submit(job_id, queue=queue) == [Submitted(job_id, queue, False)]
    assert await world.job(job_id) == before
    assert await world.store.events(job_id) == history


async def test_a_repeated_batch_adds_nothing(world: World) -> None:
    batch = [new_job(f"job-{number}") for number in range(50)]
    assert all(submitted.created for submitted in await world.store.submit(batch))
    again = await world.store.submit(batch)
    assert again == [Submitted(job.id, "default", False) for job in batch]
    assert await world.claimed_ids() == [job.id for job in batch]


async def test_a_batch_that_got_half_way_is_completed_by_its_repeat(world: World) -> None:
    batch = [new_job(f"job-{number}") for number in range(6)]
    await world.store.submit(batch[1:3])
    again = await world.store.submit(batch)
    assert [submitted.created for submitted in again] == [True, False, False, True, True, True]
    assert [submitted.job_id for submitted in again] == [job.id for job in batch]
    assert sorted(await world.claimed_ids()) == [job.id for job in batch]


async def test_batches_that_overlap_tell_what_is_new(world: World) -> None:
    await world.submit("a")
    await world.submit("a", "b")
    submitted = await world.submit("c", "b", "d")
    assert [one.created for one in submitted] == [True, False, True]
    assert await world.claimed_ids() == ["a", "b", "c", "d"]


async def test_what_was_there_already_leaves_no_gap_in_the_order(world: World) -> None:
    known = [f"known-{number}" for number in range(20)]
    await world.submit(*known)
    await world.submit(*known, "first")
    await world.submit("second")
    assert await world.claimed_ids() == [*known, "first", "second"]


async def test_an_id_twice_in_a_batch_is_one_job(world: World) -> None:
    submitted = await world.submit("a", "b", "a")
    assert [(one.job_id, one.created) for one in submitted] == [
        ("a", True),
        ("b", True),
        ("a", False),
    ]
    assert await world.claimed_ids() == ["a", "b"]


async def test_an_empty_batch_is_nothing(world: World) -> None:
    assert await world.store.submit([]) == []


async def test_a_large_batch_keeps_its_order(world: World) -> None:
    ids = [f"job-{number:04}" for number in range(1500)]
    assert [submitted.job_id for submitted in await world.submit(*ids)] == ids
    assert await world.claimed_ids(limit=2000) == ids


async def test_one_batch_may_fill_several_queues(world: World) -> None:
    jobs = [new_job(f"job-{number}", queue=f"q{number % 3}") for number in range(9)]
    await world.store.submit(jobs)
    for queue in range(3):
        expected = [f"job-{number}" for number in range(queue, 9, 3)]
        assert await world.claimed_ids(f"q{queue}") == expected


async def test_nothing_after_a_refused_job_is_taken_in(world: World) -> None:
    await world.submit("holder", unique="k")
    batch = [new_job("before"), new_job("refused", unique="k"), new_job("after")]
    with pytest.raises(JobExists) as caught:
        await world.store.submit(batch)
    assert caught.value.job_id == "holder"
    assert await world.store.get(["refused", "after"]) == [None, None]


async def test_a_held_job_waits(world: World) -> None:
    await world.submit("a", held=True)
    assert await world.state("a") is JobState.WAITING
    assert await world.claimed_ids() == []
    assert await world.store.admit(["a"]) == ["applied"]
    assert (await world.job("a")).reason is Reason.ADMITTED
    assert await world.claimed_ids() == ["a"]


async def test_admit_says_what_became_of_each(world: World) -> None:
    await world.submit("held", held=True)
    await world.submit("free")
    verdicts = await world.store.admit(["free", "missing", "held"])
    assert verdicts == ["stale", "missing", "applied"]


async def test_a_store_without_transactions_says_so(world: World) -> None:
    if world.store.kind in ("sqlite", "postgresql"):
        pytest.skip("this store has transactions")
    with pytest.raises(ConfigError):
        await world.store.submit([new_job("a")], transaction=object())
    with pytest.raises(ConfigError):
        world.store.submit_in(object(), [new_job("a")])


async def test_every_name_that_is_allowed_is_stored(world: World) -> None:
    long = "a" * 128
    key = "k: {%s} é \U0001f6a2 'x' " + "y" * 200
    job = NewJob(id=long, task=long, queue=long, args=b"", unique=key, user=key, tags=(long,))
    await world.store.submit([job])
    stored = await world.job(long)
    assert (stored.task, stored.queue, stored.unique, stored.user) == (long, long, key, key)
    assert stored.tags == (long,)
    assert await world.claimed_ids(long) == [long]


async def test_an_id_twice_in_a_batch_is_refused_by_its_first(world: World) -> None:
    await world.submit("holder", unique="k")
    twice = [new_job("twice", unique="k"), new_job("twice")]
    with pytest.raises(JobExists) as caught:
        await world.store.submit(twice)
    assert caught.value.job_id == "holder"
    assert await world.states("twice") == [None]


async def test_what_comes_before_a_refusal_stays_though_it_is_named_again(world: World) -> None:
    await world.submit("holder", unique="k")
    with pytest.raises(JobExists):
        await world.store.submit([new_job("a"), new_job("b", unique="k"), new_job("a")])
    assert await world.states("a", "b") == ["queued", None]
