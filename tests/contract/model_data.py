"""What the model of a store keeps, and the steps that all its methods share."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ferryman.codec import as_stored
from ferryman.domain.job import LOG_LINES, LOG_SIZE, Job, JobEvent, LogLine, WorkerInfo
from ferryman.domain.operators import ApiKey, OperatorAction
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason, legal
from ferryman.stores.base import JobFilter
from ferryman.stores.tally import Counts

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(milliseconds: int) -> datetime:
    """Epoch milliseconds as a datetime."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def later(now: int, seconds: float) -> int:
    """The millisecond that is `seconds` after `now`."""
    return now + round(seconds * 1000)


@dataclass
class Record:
    """A job and what its record does not show."""

    job: Job
    number: int
    """In order of creation."""
    place: int = 0
    """In order of becoming queued."""
    since: int = 0
    """When it became queued."""
    checkpoint: bytes | None = None
    asked_by: str = ""
    until: int | None = None
    """When it may be pruned."""
    ending: Ending | None = None
    """The one that was applied last, while nothing followed it."""
    events: list[JobEvent] = field(default_factory=list)

    def set(self, **fields: Any) -> None:
        """Change fields of the job."""
        self.job = msgspec.structs.replace(self.job, **fields)


@dataclass
class Lease:
    """A worker and how long it holds its jobs."""

    info: WorkerInfo
    started: int
    until: int


@dataclass
class ModelData:
    """What several stores share, as processes share a server."""

    records: dict[str, Record] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    feed: list[JobEvent] = field(default_factory=list)
    counts: Counts = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    actions: list[OperatorAction] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def where(self, wanted: Callable[[Job], bool]) -> list[Record]:
        """The records of the jobs that are wanted, in order of creation."""
        return [record for record in self.records.values() if wanted(record.job)]

    def holder(self, queue: str, unique: str | None) -> str | None:
        """The live job that holds a unique key."""
        if unique is None:
            return None
        held = self.where(lambda job: (job.queue, job.unique) == (queue, unique))
        return next((one.job.id for one in held if not one.job.state.terminal), None)

    def move(
        self, record: Record, target: JobState, reason: Reason, now: int, *, detail: str = ""
    ) -> None:
        """Take a job to its next state."""
        source = record.job.state
        assert legal(source, target), f"{source} to {target}"
        record.set(state=target, reason=reason, detail=detail)
        record.ending = None
        if target is JobState.QUEUED:
            self.place_last(record, now)
        if target.terminal:
            record.set(finished_at=moment(now))
        self.note(record, source, now)
        if source is JobState.RUNNING:
            record.set(worker=None, cancel_requested=False)
            record.asked_by = ""

    def place_last(self, record: Record, now: int) -> None:
        """Put a job behind all others of its queue."""
        record.place, record.since = next(self.numbers), now

    def note(self, record: Record, source: JobState | None, now: int) -> None:
        """Write the event of a job's last change."""
        job = record.job
        event = JobEvent(
            seq=next(self.numbers),
            job_id=job.id,
            at=moment(now),
            source=source,
            target=job.state,
            reason=job.reason,
            detail=job.detail,
            token=job.token,
            worker=job.worker,
            task=job.task,
            queue=job.queue,
            user=job.user,
        )
        self.tell(record, event)

    def report(self, record: Record, now: int, **told: Any) -> None:
        """Write the event of what a running job told; of its progress only the latest is kept."""
        job = record.job
        event = JobEvent(
            seq=next(self.numbers),
            job_id=job.id,
            at=moment(now),
            source=job.state,
            target=job.state,
            reason=job.reason,
            token=job.token,
            worker=job.worker,
            task=job.task,
            queue=job.queue,
            user=job.user,
            **told,
        )
        if event.progress is not None:
            record.events = [one for one in record.events if one.progress is None]
        self.tell(record, event)
        while self._too_many([one.line for one in record.events if one.line is not None]):
            oldest = next(one for one in record.events if one.line is not None)
            record.events.remove(oldest)

    def _too_many(self, lines: list[LogLine]) -> bool:
        return len(lines) > LOG_LINES or sum(len(line.text.encode()) for line in lines) > LOG_SIZE

    def tell(self, record: Record, event: JobEvent) -> None:
        """Add an event to its job's and to the feed."""
        record.events.append(event)
        self.feed.append(event)


def matches(job: Job, where: JobFilter) -> bool:
    """Whether `job` is one that `where` describes."""
    return (
        where.state in (None, job.state)
        and where.task in (None, job.task)
        and where.queue in (None, job.queue)
        and where.user in (None, job.user)
        and (where.tag is None or where.tag in job.tags)
        and (where.text is None or as_stored(where.text) in job.args)
        and (where.since is None or job.created_at >= where.since)
        and (where.until is None or job.created_at < where.until)
    )
