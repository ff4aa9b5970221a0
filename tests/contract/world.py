"""A store with a clock and short verbs, so that a test reads as what happens to its jobs."""

import functools
import inspect
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ferryman.domain.ids import check_name, new_id
from ferryman.domain.job import Delivery, Job, NewJob, Submitted, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ClaimRequest, JobFilter, JobStore, Verdict
from tests.clock import FakeClock

LEASE = 10.0
FOR_EVER = 1e8
"""Seconds of a lease that no test outlives."""

REASONS = {
    JobState.SUCCEEDED: Reason.RETURNED,
    JobState.FAILED: Reason.PERMANENT,
    JobState.CANCELLED: Reason.CANCELLED_ITSELF,
    JobState.SCHEDULED: Reason.RETRY,
    JobState.QUEUED: Reason.HANDED_BACK,
}
"""A reason that goes with each state that an ending may lead to."""


def new_job(job_id: str, **fields: Any) -> NewJob:
    """A job of the task `work` in the queue `default`."""
    values: dict[str, Any] = {"task": "work", "queue": "default", "args": b"[[],{}]"}
    job = NewJob(id=check_name(job_id, "job id"), **(values | fields))
    check_name(job.queue, "queue")
    return job


def ending(delivery: Delivery, state: JobState = JobState.SUCCEEDED, **fields: Any) -> Ending:
    """How `delivery` ends."""
    values: dict[str, Any] = {
        "job_id": delivery.job_id,
        "queue": delivery.queue,
        "token": delivery.token,
        "state": state,
        "reason": REASONS[state],
    }
    return Ending(**(values | fields))


T = TypeVar("T")


def each(*values: T) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """Try a case with each of these values in turn, all on one store.

    A store of its own for each value would cost more than the case. `case(world, value)` tries
    one of them.
    """

    def decorate(case: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(case)
        async def tried(world: World, *chosen: T) -> None:
            for value in chosen or values:
                try:
                    await case(world, value)
                except BaseException as error:
                    error.add_note(f"with {value!r}")
                    raise

        # Else a fixture would be looked for that gives the value.
        tried.__signature__ = inspect.signature(tried, follow_wrapped=False)  # type: ignore[attr-defined]
        return tried

    return decorate


class World:
    """One store, its clock, and workers as they are needed."""

    def __init__(self, store: JobStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self._numbers = itertools.count(1)
        self._tireless: WorkerInfo | None = None
        self._tireless_until = 0.0

    async def worker(self, name: str = "w", lease: float = LEASE) -> WorkerInfo:
        """A registered worker."""
        info = WorkerInfo(
            id=new_id(), name=name, host="here", pid=1, queues=("default",), concurrency=8
        )
        await self.store.register(info, lease)
        return info

    async def tireless(self) -> WorkerInfo:
        """The same worker each time, as long as its very long lease holds."""
        if self._tireless is None or self.clock() >= self._tireless_until:
            self._tireless_until = self.clock() + FOR_EVER * 1000
            self._tireless = await self.worker("tireless", FOR_EVER)
        return self._tireless

    async def submit(self, *ids: str, **fields: Any) -> list[Submitted]:
        """Submit jobs that differ in nothing but their ids."""
        return await self.store.submit([new_job(job_id, **fields) for job_id in ids])

    async def claim(
        self, *queues: str, by: WorkerInfo | None = None, limit: int = 1
    ) -> list[Delivery]:
        """Claim for `by`, or for the tireless worker."""
        worker = by or await self.tireless()
        request = ClaimRequest(worker=worker.id, queues=queues or ("default",), limit=limit)
        return await self.store.claim(request)

    async def claimed_ids(self, *queues: str, limit: int = 100) -> list[str]:
        """The ids that a claim gives, in its order."""
        return [delivery.job_id for delivery in await self.claim(*queues, limit=limit)]

    async def running(
        self, job_id: str | None = None, by: WorkerInfo | None = None, **fields: Any
    ) -> Delivery:
        """A new job that runs, by default in a queue of its own."""
        job_id = job_id or self.fresh_id()
        fields = {"queue": f"q-{job_id}"} | fields
        await self.submit(job_id, **fields)
        (delivery,) = await self.claim(fields["queue"], by=by)
        assert delivery.job_id == job_id
        return delivery

    async def again(self, delivery: Delivery, by: WorkerInfo | None = None) -> Delivery:
        """The next delivery of a job that is queued in a queue of its own."""
        (following,) = await self.claim(delivery.queue, by=by)
        assert following.job_id == delivery.job_id
        return following

    async def finish(
        self, delivery: Delivery, state: JobState = JobState.SUCCEEDED, **fields: Any
    ) -> Verdict:
        """End one delivery."""
        (verdict,) = await self.store.finish([ending(delivery, state, **fields)])
        return verdict

    async def bring(self, state: JobState, job_id: str | None = None, **fields: Any) -> str:
        """A new job in `state`, in a queue of its own; returns its id."""
        job_id = job_id or self.fresh_id()
        fields = {"queue": f"q-{job_id}"} | fields
        match state:
            case JobState.QUEUED:
                await self.submit(job_id, **fields)
            case JobState.SCHEDULED:
                await self.submit(job_id, **({"delay": 60.0} | fields))
            case JobState.WAITING:
                await self.submit(job_id, held=True, **fields)
            case JobState.RUNNING:
                await self.running(job_id, **fields)
            case _:
                assert await self.finish(await self.running(job_id, **fields), state) == "applied"
        assert await self.state(job_id) == state
        return job_id

    async def job(self, job_id: str) -> Job:
        """The record of a job that must be there."""
        (job,) = await self.store.get([job_id])
        assert job is not None, f"no job {job_id}"
        return job

    async def state(self, job_id: str) -> JobState:
        """The state of a job that must be there."""
        return (await self.job(job_id)).state

    async def states(self, *ids: str) -> list[JobState | None]:
        """The states of jobs; `None` is: not there."""
        return [job.state if job else None for job in await self.store.get(ids)]

    async def all_pages(self, where: JobFilter | None = None, limit: int = 50) -> list[Job]:
        """Every job that the pages hold, in their order."""
        page = await self.store.page(where or JobFilter(), limit=limit)
        jobs = list(page.jobs)
        while page.cursor is not None:
            assert len(page.jobs) <= limit
            page = await self.store.page(where or JobFilter(), limit=limit, cursor=page.cursor)
            jobs += page.jobs
        return jobs

    def fresh_id(self) -> str:
        """An id that this test has not used."""
        return f"job-{next(self._numbers)}"
