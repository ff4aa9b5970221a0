"""The records of a job, its events and its workers. Rule: a new field has a default."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from ferryman.domain.outcomes import Failure
from ferryman.domain.policy import RetryPolicy
from ferryman.domain.states import JobState, Reason

PAYLOAD_VERSION = 1
"""The layout of a job's stored arguments; a worker parks what is newer than it knows."""


class JobOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job carries over its task's policy, so that a worker can honour it.

    Attributes:
        retry: instead of the task's retry policy.
        timeout: instead of the task's, in seconds.
        result_ttl: instead of the task's, in seconds.
        version: the layout of the arguments (`PAYLOAD_VERSION` of the sender).
    """

    retry: RetryPolicy | None = None
    timeout: float | None = None
    result_ttl: float | None = None
    version: int = PAYLOAD_VERSION


class NewJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to run a task, as it is handed to a store.

    Attributes:
        args: the encoded arguments; opaque to every store.
        delay: seconds from the store's now until it is due.
        run_at: the moment at which it is due (epoch milliseconds); excludes `delay`.
        expires_in: seconds from the store's now after which it is never started.
        unique: no second live job of this key in this queue.
        on_conflict: what a submit does that meets a live job with the same unique key:
            `"refuse"` raises, `"return"` gives that job back.
        user: on whose behalf; a place for fairness and limits.
        held: begins as `waiting`, until `admit` lets it go on.
    """

    id: str
    task: str
    queue: str
    args: bytes
    priority: int = 0
    delay: float = 0.0
    run_at: int | None = None
    expires_in: float | None = None
    unique: str | None = None
    on_conflict: Literal["refuse", "return"] = "refuse"
    user: str | None = None
    tags: tuple[str, ...] = ()
    options: JobOptions = JobOptions()
    held: bool = False


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """What a submit led to: the job's id and queue, and whether it is new.

    `created` is false where the id was already there (a repeated submit) or where a live job
    with the same unique key was given back; `job_id` is then that job's.
    """

    job_id: str
    queue: str
    created: bool


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed job: all that a worker needs to run it, and the token that lets it end it.

    `waited` is the seconds from when it was due until it was claimed.
    """

    job_id: str
    task: str
    queue: str
    token: int
    args: bytes
    options: JobOptions
    attempts: int
    deliveries: int
    kills: int
    checkpoint: bytes | None = None
    user: str | None = None
    waited: float = 0.0


class Progress(msgspec.Struct, frozen=True):
    """How far a job is: `current` of `total` (which may be unknown), and a line of text."""

    current: float = 0.0
    total: float | None = None
    message: str = ""

    @property
    def fraction(self) -> float | None:
        """`current / total` between 0 and 1, or `None` where no total is known."""
        if not self.total:
            return None
        return min(1.0, max(0.0, self.current / self.total))


class LogLine(msgspec.Struct, frozen=True):
    """A line that a job wrote; `level` is a name of `logging`, in lower case."""

    level: str
    text: str


class EventKind(StrEnum):
    """What an event tells of."""

    STATE = "state"
    """The job went from `source` to `target`."""
    PROGRESS = "progress"
    """The running job told how far it is. Of these a store keeps a job's latest."""
    LOG = "log"
    """The running job wrote a line. Of these a store keeps a job's latest (`LOG_LINES`)."""


LOG_LINES: Final = 500
"""Lines of its log that are kept of a job, the latest ones."""

LOG_SIZE: Final = 65_536
"""Bytes that these lines may have together; what is older goes."""

LINE_LENGTH: Final = 2000
"""Characters of a line that are kept."""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a job.

    Attributes:
        seq: grows within a job, in the order in which things happened. It has gaps.
        source, target, reason: the change of state. Of a report (progress, log) they are the state
            that the job was in: `running`, since it was `claimed`.
        progress: of a progress event.
        line: of a log event.
        task, queue, user: those of the job.
    """

    seq: int
    job_id: str
    at: datetime
    source: JobState | None
    target: JobState
    reason: Reason
    detail: str = ""
    token: int = 0
    worker: str | None = None
    kind: EventKind = EventKind.STATE
    progress: Progress | None = None
    line: LogLine | None = None
    task: str = ""
    queue: str = ""
    user: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the store holds it. All moments are in UTC, by the store's clock.

    Attributes:
        due_at: when it was, or will be, due.
        started_at: when its latest delivery was claimed.
        token: the fencing token of its latest delivery; it only ever grows.
        deliveries: how many times it was claimed.
        attempts: how many tries ended in an error or a time-out.
        kills: how many deliveries killed the process that held it.
        cancel_requested: someone asked a running job to stop.
        failure: the error of the latest failed attempt.
    """

    id: str
    task: str
    queue: str
    priority: int
    state: JobState
    reason: Reason
    args: bytes
    created_at: datetime
    due_at: datetime
    token: int
    detail: str = ""
    expires_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deliveries: int = 0
    attempts: int = 0
    kills: int = 0
    worker: str | None = None
    unique: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    options: JobOptions = JobOptions()
    cancel_requested: bool = False
    progress: Progress | None = None
    result: bytes | None = None
    failure: Failure | None = None


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process. `id` is random at each boot, so no lease is ever inherited.

    Attributes:
        concurrency: its slots, which is how many jobs it runs at a time.
        lease: seconds for which each renewal extends its lease; 0 is: not told.
        memory: bytes that it and its child processes held at the latest renewal, if known.
        claim_age: seconds since a claim of it was answered, at the latest renewal. It grows while
            all slots are taken, and while the worker cannot get through to the store.
    """

    id: str
    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    version: str = ""
    lease: float = 0.0
    memory: int | None = None
    claim_age: float | None = None


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process as the store sees it.

    Attributes:
        live: its lease has not ended.
        running: jobs that run under it.
        degraded: whoever renews its lease could not use the lane then.
    """

    info: WorkerInfo
    started_at: datetime
    lease_until: datetime
    live: bool
    running: int
    degraded: bool = False

    @property
    def seen_at(self) -> datetime | None:
        """When its lease was renewed last, which is its heartbeat; `None` if that is not known."""
        if not self.info.lease:
            return None
        return self.lease_until - timedelta(seconds=self.info.lease)


class QueueInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A queue's figures; `oldest_age` is the seconds that its oldest queued job has waited."""

    name: str
    paused: bool = False
    scheduled: int = 0
    waiting: int = 0
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    oldest_age: float | None = None

    def count(self, state: JobState) -> int:
        """How many jobs of this queue are in `state`."""
        value: Any = getattr(self, state.value)
        return int(value)
