"""What is compared of a store and its model, without what the contract leaves open."""

from collections.abc import Awaitable, Sequence
from typing import Any

import msgspec

from ferryman.domain.errors import JobExists, LeaseLost
from ferryman.domain.job import Job, QueueInfo
from ferryman.domain.outcomes import Failure
from ferryman.domain.states import JobState
from ferryman.stores import JobStore
from ferryman.stores.base import JobFilter

NO_WORDS = Failure(kind="", message="")


async def seen(store: JobStore, ids: Sequence[str]) -> tuple[Any, ...]:
    """All that readers see of these jobs, and of what is around them."""
    page = await store.page(JobFilter(), limit=100)
    workers = await store.workers()
    return (
        [
            (one.job_id, one.source, one.target, one.reason, one.at)
            for job_id in ids
            for one in await store.events(job_id)
        ],
        sorted(job.id for job in page.jobs),
        [rounded(queue) for queue in await store.queues() if in_use(queue)],
        sorted((one.info.id, one.lease_until, one.running) for one in workers if one.live),
    )


async def answer(asked: Awaitable[Any]) -> Any:
    """What a call gives, or the error that it raises."""
    try:
        return await asked
    except (JobExists, LeaseLost) as error:
        return f"{type(error).__name__} {getattr(error, 'job_id', '')}"


def either(found: Any, expected: Any, again: Any) -> bool:
    """Whether an answer may be given by a call that was made twice.

    Parts of it may have been done by the first and parts by the second: verdicts are each from
    either, moves are some of those of the first, and numbers lie between.
    """
    if found in (expected, again):
        return True
    if isinstance(found, int | float) and not isinstance(found, bool):
        return bool((again or 0) <= found <= (expected or 0))
    if isinstance(found, list) and found and isinstance(found[0], tuple):
        return set(found) <= set(expected)
    if isinstance(found, list | tuple):
        return len(found) == len(expected) == len(again) and all(
            map(either, found, expected, again)
        )
    return False


def comparable(job: Job | None) -> Job | None:
    """A record without what the contract leaves open."""
    if job is None:
        return None
    left = msgspec.structs.replace(job, detail="", failure=None)
    if job.state is JobState.FAILED:
        left = msgspec.structs.replace(left, failure=NO_WORDS if job.failure else None)
    if job.state.terminal:
        left = msgspec.structs.replace(left, cancel_requested=False)
    if job.state is not JobState.RUNNING:
        left = msgspec.structs.replace(left, worker=None)
    if job.state is not JobState.SCHEDULED:
        left = msgspec.structs.replace(left, due_at=job.created_at)
    if not job.deliveries:  # a token is that of a delivery
        left = msgspec.structs.replace(left, token=0)
    return left


def in_use(queue: QueueInfo) -> bool:
    """Whether a store that forgets a queue with nothing in it may not forget this one."""
    return queue.paused or any(queue.count(state) for state in JobState)


def rounded(queue: QueueInfo) -> QueueInfo:
    """Whether a job that went back waits since then, or since it was due, is open."""
    waits = queue.oldest_age is not None
    return msgspec.structs.replace(queue, oldest_age=1.0 if waits else None)


def differences(expected: Job | None, found: Job | None) -> list[str]:
    """The fields that differ, with what was expected and what was found."""
    if expected is None or found is None:
        return [] if expected is found else [f"expected {expected}, found {found}"]
    return [
        f"{found.id}.{name}: expected {getattr(expected, name)!r}, found {getattr(found, name)!r}"
        for name in Job.__struct_fields__
        if getattr(expected, name) != getattr(found, name)
    ]


def received(answer: Any) -> Any:
    """What a claim gave. Since when a job waited that went back before is open."""
    if not isinstance(answer, list):
        return answer
    return [msgspec.structs.replace(one, waited=0.0) for one in answer]
