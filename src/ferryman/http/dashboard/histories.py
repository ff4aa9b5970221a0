"""A job's events as its page tells them: changes of state, attempts, log."""

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from ferryman import masking
from ferryman.domain.job import EventKind, JobEvent, WorkerStatus
from ferryman.domain.states import JobState, Reason
from ferryman.http.dashboard.notes import worker_name
from ferryman.http.views import Attempt


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of state; `after` is the seconds since the one before."""

    at: datetime
    target: JobState
    reason: Reason
    detail: str
    worker: str
    after: float | None


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery of a job, and how it ended; `took` is in seconds."""

    number: int
    started_at: datetime
    took: float | None
    state: JobState | None
    reason: Reason | None
    worker: str
    error: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a job's log."""

    at: datetime
    level: str
    text: str


def timeline(
    events: Sequence[JobEvent], secrets: Collection[str], workers: Sequence[WorkerStatus] | None
) -> list[Change]:
    """The changes of state, the latest first."""
    changes = [event for event in events if event.kind is EventKind.STATE]
    before = [None, *changes]
    entries = [
        Change(
            at=event.at,
            target=event.target,
            reason=event.reason,
            detail=masking.mask_text(event.detail, secrets),
            worker=worker_name(event.worker, workers) if event.target == "running" else "",
            after=(event.at - last.at).total_seconds() if last else None,
        )
        for last, event in zip(before, changes, strict=False)
    ]
    return entries[::-1]


def attempts(runs: Sequence[Attempt], workers: Sequence[WorkerStatus] | None) -> list[Try]:
    """The deliveries, the latest first."""
    tries = [
        Try(
            number=number,
            started_at=run.started_at,
            took=(run.ended_at - run.started_at).total_seconds() if run.ended_at else None,
            state=run.state,
            reason=run.reason,
            worker=worker_name(run.worker, workers),
            error=run.detail,
        )
        for number, run in enumerate(runs, 1)
    ]
    return tries[::-1]


def log(events: Sequence[JobEvent], secrets: Collection[str]) -> list[Line]:
    """The lines of the job's log, the oldest first."""
    return [
        Line(at=event.at, level=event.line.level, text=masking.mask_text(event.line.text, secrets))
        for event in events
        if event.line is not None
    ]
