"""Job handles: one job, to look at, to wait for, to stop or to send back."""

from typing import Any, Generic, TypeVar

from ferryman.client.access import Access
from ferryman.domain.errors import (
    IllegalTransition,
    JobCancelled,
    JobExists,
    JobFailed,
    JobNotFound,
    WaitTimeout,
)
from ferryman.domain.job import Job, JobEvent
from ferryman.domain.states import JobState
from ferryman.stores.base import Verdict

T = TypeVar("T")

FOREVER = 10 * 365 * 86400.0


class JobHandle(Generic[T]):
    """One job by its id.

    Attributes:
        id: the job's id.
        created: false if an enqueue met a job that was there already, and gave that one back.
    """

    __slots__ = ("_access", "_record", "created", "id")

    def __init__(
        self,
        access: Access,
        id: str,
        *,
        created: bool = True,
        record: Job | None = None,
    ) -> None:
        self._access = access
        self._record = record
        self.id = id
        self.created = created

    def __repr__(self) -> str:
        state = f" {self._record.state}" if self._record else ""
        return f"<Job {self.id}{state}>"

    @property
    def record(self) -> Job:
        """The job as it was when last looked at; looked up now if it never was.

        Raises:
            JobNotFound: the store does not hold it.
        """
        if self._record is None:
            self.refresh()
        assert self._record is not None  # noqa: S101 - narrows the type
        return self._record

    @property
    def state(self) -> JobState:
        """The state when last looked at; `refresh()` looks again."""
        return self.record.state

    def refresh(self) -> "JobHandle[T]":
        """Look the job up again.

        Raises:
            JobNotFound: the store does not hold it (any more).
        """
        return self._access.run(self.arefresh())

    async def arefresh(self) -> "JobHandle[T]":
        """`refresh` for asynchronous code."""
        store = await self._access.store()
        [record] = await store.get([self.id])
        self._record = found(self.id, record)
        return self

    def result(self, timeout: float | None = None) -> T:
        """What the job returned; waits up to `timeout` seconds (`None`: without limit) for it.

        Raises:
            JobFailed, JobCancelled: it ended otherwise; `.job` is its record.
            WaitTimeout: it has not ended yet, and goes on.
            JobNotFound: the store does not hold it (any more).
        """
        return self._access.run(self.aresult(timeout))

    async def aresult(self, timeout: float | None = None) -> T:
        """`result` for asynchronous code."""
        record = await self._await_end(FOREVER if timeout is None else timeout)
        match record.state:
            case JobState.SUCCEEDED:
                value: T = self._access.decode_result(record.task, record.result)
                return value
            case JobState.FAILED:
                failure = record.failure
                said = f": {failure.kind}: {failure.message}" if failure else ""
                raise JobFailed(f"job {self.id} failed ({record.reason}){said}", record)
            case JobState.CANCELLED:
                raise JobCancelled(f"job {self.id} was cancelled ({record.detail})", record)
            case state:
                raise WaitTimeout(f"job {self.id} is {state} after {timeout} s of waiting")

    def cancel(self, by: str = "") -> bool:
        """Cancel the job; true if it has ended by this, false if its worker was asked to stop it.

        Raises:
            IllegalTransition: it had ended already.
            JobNotFound: the store does not hold it.
        """
        return self._access.run(self.acancel(by))

    async def acancel(self, by: str = "") -> bool:
        """`cancel` for asynchronous code."""
        store = await self._access.store()
        [verdict] = await store.cancel([self.id], by=by)
        self._check(verdict, "cancelled: it has ended already")
        return verdict is Verdict.APPLIED

    def retry(self, *args: Any, **kwargs: Any) -> "JobHandle[T]":
        """Send a failed or cancelled job back to its queue, with other arguments if any are given.

        Raises:
            IllegalTransition: it is neither failed nor cancelled.
            InvalidArguments: the new arguments do not fit.
            JobExists: another live job holds its unique key.
            JobNotFound: the store does not hold it.
        """
        return self._access.run(self.aretry(*args, **kwargs))

    async def aretry(self, *args: Any, **kwargs: Any) -> "JobHandle[T]":
        """`retry` for asynchronous code."""
        data = None
        if args or kwargs:
            await self.arefresh()
            data = self._access.encode_args(self.record.task, args, kwargs)
        store = await self._access.store()
        [verdict] = await store.retry([self.id], args=data)
        if verdict is Verdict.CONFLICT:
            raise JobExists(f"another live job holds the unique key of {self.id}", self.id)
        self._check(verdict, "retried: it is neither failed nor cancelled")
        return self

    def discard(self) -> None:
        """Delete the job, which must have ended, with its result and its events.

        Raises:
            IllegalTransition: it has not ended.
            JobNotFound: the store does not hold it.
        """
        self._access.run(self.adiscard())

    async def adiscard(self) -> None:
        """`discard` for asynchronous code."""
        store = await self._access.store()
        [verdict] = await store.discard([self.id])
        self._check(verdict, "discarded: it has not ended")

    def events(self) -> list[JobEvent]:
        """What happened to the job, oldest first."""
        return self._access.run(self.aevents())

    async def aevents(self) -> list[JobEvent]:
        """`events` for asynchronous code."""
        store = await self._access.store()
        return await store.events(self.id)

    async def _await_end(self, timeout: float) -> Job:
        store = await self._access.store()
        self._record = found(self.id, await store.wait_for_end(self.id, timeout))
        return self._record

    def _check(self, verdict: Verdict, refusal: str) -> None:
        if verdict is Verdict.MISSING:
            found(self.id, None)
        if verdict is Verdict.STALE:
            raise IllegalTransition(f"job {self.id} cannot be {refusal}")


def found(job_id: str, record: Job | None) -> Job:
    """`record`, or `JobNotFound` where there is none."""
    if record is None:
        raise JobNotFound(f"no job {job_id!r} in the store: it was never taken in, or is pruned")
    return record
