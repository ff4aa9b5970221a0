"""Jobs and their events as the service shows them: flat, by name, and without secrets."""

from datetime import datetime
from typing import Any, Final

import msgspec

from ferryman import codec, masking
from ferryman.client.arguments import Arguments
from ferryman.client.client import Client
from ferryman.domain.errors import InvalidArguments
from ferryman.domain.job import EventKind, Job, JobEvent, JobOptions, LogLine, Progress
from ferryman.domain.outcomes import Failure
from ferryman.domain.states import JobState, Reason

EVENTS: Final = 1000
"""Events of a job that are shown with it, the oldest."""

PREVIEW: Final = 200
"""Characters of a job's arguments that a list shows."""


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A job as lists show it; `preview` is the beginning of its arguments."""

    id: str
    task: str
    queue: str
    priority: int
    state: JobState
    reason: Reason
    detail: str
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    token: int
    deliveries: int
    attempts: int
    kills: int
    worker: str | None
    unique: str | None
    user: str | None
    tags: tuple[str, ...]
    cancel_requested: bool
    progress: Progress | None
    failure: Failure | None
    preview: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery of a job to a worker, and what it led to, if it has ended."""

    token: int
    worker: str | None
    started_at: datetime
    ended_at: datetime | None = None
    state: JobState | None = None
    reason: Reason | None = None
    detail: str = ""


class EventView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened to a job; see `ferryman.JobEvent`."""

    seq: int
    job_id: str
    at: datetime
    kind: EventKind
    source: JobState | None = None
    target: JobState | None = None
    reason: Reason | None = None
    detail: str = ""
    token: int = 0
    worker: str | None = None
    progress: Progress | None = None
    line: LogLine | None = None
    task: str = ""
    queue: str = ""
    user: str | None = None


class JobView(JobSummary, frozen=True, kw_only=True):
    """A job with all that belongs to it.

    Attributes:
        arguments: by name; by their number where this service does not know the task's code, and
            null where they cannot be read.
        result: what it returned.
        runs: its deliveries, the oldest first.
        events: what happened to it, the oldest first.
        more_events: there are more than these; the job's own event stream tells them all.
        created: false where a request for a job met one that was there already.
    """

    arguments: dict[str, Any] | None
    result: Any
    options: JobOptions
    runs: tuple[Attempt, ...] = ()
    events: tuple[EventView, ...] = ()
    more_events: bool = False
    created: bool = True


class Views:
    """Makes views of records, with what an application knows of its tasks."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def arguments(self, job: Job) -> Arguments:
        """A job's arguments by name."""
        return Arguments(self._signature(job), job.args)

    def secrets(self, job: Job) -> frozenset[str]:
        """The texts that must not be seen wherever this job is spoken of."""
        return self.arguments(job).secrets

    def shows(self, job: Job, text: str) -> bool:
        """Whether a text occurs in the arguments as they are shown; names count."""
        shown = self.arguments(job).shown
        return shown is not None and codec.as_stored(text) in msgspec.json.encode(shown)

    def summary(self, job: Job) -> JobSummary:
        """A job as lists show it."""
        return JobSummary(**_fields(job, self.arguments(job)))

    def job(
        self, job: Job, events: list[JobEvent] | tuple[JobEvent, ...] = (), created: bool = True
    ) -> JobView:
        """A job with all that belongs to it; of its events, the first `EVENTS`."""
        arguments = self.arguments(job)
        known = arguments.secrets
        shown = events[:EVENTS]
        return JobView(
            **_fields(job, arguments),
            arguments=arguments.shown,
            result=self._result(job, known),
            options=job.options,
            runs=_runs(shown, known),
            events=tuple(event_view(event, known) for event in shown),
            more_events=len(events) > len(shown),
            created=created,
        )

    def _signature(self, job: Job) -> codec.Signature | None:
        task = self._client.tasks.get(job.task)
        return task.signature if task else None

    def _result(self, job: Job, known: frozenset[str]) -> Any:
        signature = self._signature(job)
        try:
            value = codec.decode_result(job.result)
        except InvalidArguments:
            return None
        return masking.mask(value, signature.returns if signature else Any, known=known)


def _fields(job: Job, arguments: Arguments) -> dict[str, Any]:
    known, shown = arguments.secrets, arguments.shown
    preview = "" if shown is None else msgspec.json.encode(shown).decode()
    return {
        **{name: getattr(job, name) for name in SHARED},
        "detail": masking.mask_text(job.detail, known),
        "progress": progress_view(job.progress, known),
        "failure": failure_view(job.failure, known),
        "preview": preview[:PREVIEW],
    }


SHARED: Final = tuple(
    name
    for name in JobSummary.__struct_fields__
    if name not in ("detail", "progress", "failure", "preview")
)


def event_view(event: JobEvent, known: frozenset[str]) -> EventView:
    """An event without secrets."""
    fields = {name: getattr(event, name) for name in EventView.__struct_fields__}
    line = event.line
    return EventView(
        **{
            **fields,
            "detail": masking.mask_text(event.detail, known) if event.detail else "",
            "progress": progress_view(event.progress, known),
            "line": line and LogLine(line.level, masking.mask_text(line.text, known)),
        }
    )


def progress_view(progress: Progress | None, known: frozenset[str]) -> Progress | None:
    """Progress without secrets."""
    if progress is None or not progress.message:
        return progress
    return msgspec.structs.replace(progress, message=masking.mask_text(progress.message, known))


def failure_view(failure: Failure | None, known: frozenset[str]) -> Failure | None:
    """A failure without secrets."""
    if failure is None:
        return None
    return Failure(
        kind=failure.kind,
        message=masking.mask_text(failure.message, known),
        traceback=masking.mask_text(failure.traceback, known),
    )


def _runs(
    events: list[JobEvent] | tuple[JobEvent, ...], known: frozenset[str]
) -> tuple[Attempt, ...]:
    runs: list[Attempt] = []
    for event in events:
        if event.kind is not EventKind.STATE:
            continue
        if event.target is JobState.RUNNING:
            runs.append(Attempt(token=event.token, worker=event.worker, started_at=event.at))
        elif event.source is JobState.RUNNING and runs and runs[-1].ended_at is None:
            runs[-1] = msgspec.structs.replace(
                runs[-1],
                ended_at=event.at,
                state=event.target,
                reason=event.reason,
                detail=masking.mask_text(event.detail, known),
            )
    return tuple(runs)
