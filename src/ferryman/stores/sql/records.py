"""Rows as records, and records as rows."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ferryman.domain.job import (
    Delivery,
    EventKind,
    Job,
    JobEvent,
    JobOptions,
    LogLine,
    Progress,
    WorkerInfo,
)
from ferryman.domain.outcomes import Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores.sql.dialect import AnyRow

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PLAIN: Final = JobOptions()
"""Options that say nothing, which are kept as NULL."""

encode: Final = msgspec.json.Encoder().encode
_options: Final = msgspec.json.Decoder(JobOptions).decode
_progress: Final = msgspec.json.Decoder(Progress).decode
_line: Final = msgspec.json.Decoder(LogLine).decode
_failure: Final = msgspec.json.Decoder(Failure).decode
_worker: Final = msgspec.json.Decoder(WorkerInfo).decode


def moment(milliseconds: int) -> datetime:
    """A stored moment, in UTC."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def moment_or_none(milliseconds: int | None) -> datetime | None:
    """A stored moment that may be missing."""
    return None if milliseconds is None else moment(milliseconds)


def milliseconds(seconds: float) -> int:
    """A length of time as it is stored."""
    return round(seconds * 1000)


def since_epoch(at: datetime) -> int:
    """A moment as it is stored."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def clean(text: str) -> str:
    """Text that every database takes: without NUL, and without halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def packed_options(options: JobOptions) -> bytes | None:
    """Options as they are stored."""
    return None if options == PLAIN else encode(options)


def options(data: bytes | None) -> JobOptions:
    """Options from how they are stored."""
    return PLAIN if data is None else _options(data)


def packed_tags(tags: Iterable[str]) -> str:
    """Tags as they are stored: each between commas, so that one can be looked for."""
    return "".join(f",{tag}" for tag in tags) + "," if tags else ""


def to_job(row: AnyRow) -> Job:
    """A row of the job table as a record."""
    state = JobState(row.state)
    return Job(
        id=row.id,
        task=row.task,
        queue=row.queue,
        priority=row.priority,
        state=state,
        reason=Reason(row.reason),
        detail=row.detail,
        args=row.args,
        created_at=moment(row.created_at),
        due_at=moment(row.due_at),
        expires_at=moment_or_none(row.expires_at),
        started_at=moment_or_none(row.started_at),
        finished_at=moment_or_none(row.finished_at),
        token=row.token,
        deliveries=row.deliveries,
        attempts=row.attempts,
        kills=row.kills,
        worker=row.worker if state.terminal or state is JobState.RUNNING else None,
        unique=row.unique_key,
        user=row.user_key,
        tags=tuple(row.tags.strip(",").split(",")) if row.tags else (),
        options=options(row.options),
        cancel_requested=row.cancel_by is not None,
        progress=row.progress and _progress(row.progress),
        result=row.result,
        failure=row.failure and _failure(row.failure),
    )


def to_delivery(row: AnyRow) -> Delivery:
    """A claimed row as a delivery."""
    return Delivery(
        job_id=row.id,
        task=row.task,
        queue=row.queue,
        token=row.token,
        args=row.args,
        options=options(row.options),
        attempts=row.attempts,
        deliveries=row.deliveries,
        kills=row.kills,
        checkpoint=row.checkpoint,
        user=row.user_key,
        waited=max(0, row.started_at - row.due_at) / 1000,
    )


def to_event(row: AnyRow) -> JobEvent:
    """A row of the event table, with what is told of its job, as a record."""
    kind = EventKind(row.kind or EventKind.STATE)
    return JobEvent(
        seq=row.seq,
        job_id=row.job_id,
        at=moment(row.at),
        source=None if row.source is None else JobState(row.source),
        target=JobState(row.target),
        reason=Reason(row.reason),
        detail=row.detail,
        token=row.token,
        worker=row.worker,
        kind=kind,
        progress=_progress(row.body) if kind is EventKind.PROGRESS else None,
        line=_line(row.body) if kind is EventKind.LOG else None,
        task=row.task,
        queue=row.queue,
        user=row.user_key,
    )


def to_worker(data: bytes) -> WorkerInfo:
    """What a worker said of itself when it registered."""
    return _worker(data)
