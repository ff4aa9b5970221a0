"""The records of the stores as people see them in a terminal."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ferryman.cli.output import printable
from ferryman.cli.records import arguments, result
from ferryman.domain.job import Job, JobEvent, Progress, QueueInfo, WorkerStatus
from ferryman.domain.operators import ApiKey
from ferryman.domain.priority import priority_name
from ferryman.domain.states import JobState

STATE_STYLES: Final = {
    JobState.RUNNING: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.CANCELLED: "yellow",
}
SHORT: Final = 8
"""Characters of a worker's id that people see."""

UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def jobs_table(jobs: Iterable[Job]) -> Table:
    """Jobs, one a line."""
    now = datetime.now(UTC)
    table = _table("ID", "TASK", "QUEUE", "STATE", "AGE", "NOTE")
    for job in jobs:
        age = span((now - job.created_at).total_seconds())
        table.add_row(
            job.id, text(job.task), job.queue, state_text(job.state), age, line(_note(job, now))
        )
    return table


def dead_letters_table(jobs: Iterable[Job]) -> Table:
    """Failed jobs, one a line, with as much of their errors as there is room for."""
    now = datetime.now(UTC)
    table = _table("ID", "TASK", "QUEUE", "FAILED", "WHY")
    for job in jobs:
        ago = span((now - (job.finished_at or job.created_at)).total_seconds())
        table.add_row(job.id, text(job.task), job.queue, f"{ago} ago", line(_note(job, now)))
    return table


def _note(job: Job, now: datetime) -> str:
    """What is worth knowing about a job in a few words."""
    match job.state:
        case JobState.SCHEDULED:
            return f"{job.reason}, due in {span((job.due_at - now).total_seconds())}"
        case JobState.RUNNING if job.cancel_requested:
            return "asked to stop"
        case JobState.RUNNING if job.progress is not None:
            return progress_text(job.progress)
        case JobState.FAILED if job.failure is not None:
            kind = job.failure.kind.rpartition(".")[2]
            return f"{kind}: {job.failure.message}"
        case JobState.FAILED | JobState.CANCELLED:
            return f"{job.reason}: {job.detail}" if job.detail else job.reason
        case _:
            return f"attempt {job.attempts + 1}" if job.attempts else ""


def job_view(job: Job, events: Sequence[JobEvent]) -> Group:
    """All about one job."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(job):
        facts.add_row(Text(name, style="dim"), value if isinstance(value, Text) else text(value))
    parts: list[Any] = [facts]
    if job.failure is not None and job.failure.traceback:
        parts += ["", text(job.failure.traceback.rstrip())]
    if events:
        parts += ["", events_table(events)]
    return Group(*parts)


def _facts(job: Job) -> Iterable[tuple[str, Text | str]]:
    yield "id", job.id
    yield "task", job.task
    yield "queue", f"{job.queue} (priority {priority_name(job.priority)})"
    yield "state", state_text(job.state).append(f" ({job.reason})", style="default")
    yield "arguments", call_text(job)
    for name in ("detail", "user", "unique", "worker"):
        if value := getattr(job, name):
            yield name, value
    if job.tags:
        yield "tags", ", ".join(job.tags)
    yield "tries", f"{job.attempts} failed, {job.deliveries} deliveries, {job.kills} kills"
    for name in ("created_at", "due_at", "expires_at", "started_at", "finished_at"):
        if moment := getattr(job, name):
            yield name.removesuffix("_at"), moment_text(moment)
    if job.cancel_requested:
        yield "asked", "to stop"
    if job.progress is not None:
        yield "progress", progress_text(job.progress)
    if job.failure is not None:
        yield "error", f"{job.failure.kind}: {job.failure.message}"
    if job.result is not None:
        yield "result", compact(result(job))


def events_table(events: Iterable[JobEvent]) -> Table:
    """What happened to a job, what it told, and the lines that it logged, oldest first."""
    table = _table("AT", "STATE", "REASON", "DETAIL")
    for event in events:
        at = event.at.strftime("%H:%M:%S.%f")[:-3]
        table.add_row(at, *_event_cells(event))
    return table


def _event_cells(event: JobEvent) -> tuple[Text | str, str, Text]:
    if event.progress is not None:
        return state_text(event.target), event.kind, line(progress_text(event.progress))
    if event.line is not None:
        return state_text(event.target), event.line.level, line(event.line.text)
    detail = event.detail or (f"by {event.worker[:SHORT]}" if event.worker else "")
    return state_text(event.target), event.reason, line(detail)


def queues_table(queues: Iterable[QueueInfo]) -> Table:
    """Queues and their figures; states that no job is in are left out, to fit a terminal."""
    queues = list(queues)
    states = [state for state in JobState if any(info.count(state) for info in queues)]
    table = _table("QUEUE", *(state.upper() for state in states), "OLDEST", "")
    for column in table.columns[1:-1]:
        column.justify = "right"
    for info in queues:
        oldest = "" if info.oldest_age is None else span(info.oldest_age)
        counts = [f"{info.count(state):,}" for state in states]
        table.add_row(text(info.name), *counts, oldest, "paused" if info.paused else "")
    return table


def keys_table(keys: Iterable[ApiKey]) -> Table:
    """API keys."""
    table = _table("ID", "NAME", "SCOPES", "USER", "MADE", "")
    for key in keys:
        made = key.created_at
        table.add_row(
            key.id,
            text(key.name),
            ",".join(key.scopes),
            text(key.user or ""),
            "" if made is None else f"{span((datetime.now(UTC) - made).total_seconds())} ago",
            _key_state(key),
        )
    return table


def _key_state(key: ApiKey) -> Text:
    if key.revoked_at is not None:
        return Text("revoked", "red")
    if key.expires_at is not None and key.expires_at <= datetime.now(UTC):
        return Text("expired", "red")
    return Text("live", "green")


def workers_table(workers: Iterable[WorkerStatus]) -> Table:
    """Worker processes."""
    now = datetime.now(UTC)
    table = _table("ID", "NAME", "HOST", "PID", "QUEUES", "RUNNING", "UP", "LEASE")
    for worker in workers:
        info = worker.info
        table.add_row(
            info.id[:SHORT],
            text(info.name),
            text(info.host),
            str(info.pid),
            text(",".join(info.queues)),
            f"{worker.running} of {info.concurrency}",
            span((now - worker.started_at).total_seconds()),
            _lease(worker),
        )
    return table


def _lease(worker: WorkerStatus) -> Text:
    if not worker.live:
        return Text("over", "red")
    return Text("live, degraded: no lane", "yellow") if worker.degraded else Text("live", "green")


def _table(*headers: str) -> Table:
    """A table whose last column gives way where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in headers[:-1]:
        table.add_column(header, overflow="ellipsis", no_wrap=True)
    table.add_column(headers[-1])
    return table


def text(value: str) -> Text:
    """Text that others wrote, without markup and without commands to the terminal."""
    return Text(printable(value))


def line(value: str) -> Text:
    """The first line of a text that others wrote, cut where the room ends."""
    first = text(value.partition("\n")[0])
    first.no_wrap, first.overflow = True, "ellipsis"
    return first


def state_text(state: JobState) -> Text:
    """A state in its colour."""
    return Text(state, STATE_STYLES.get(state, ""))


def call_text(job: Job) -> str:
    """A job's arguments as its task is called with them."""
    args, kwargs = arguments(job)
    if args is None or kwargs is None:
        return "cannot be read"
    named = [f"{name}={compact(value)}" for name, value in kwargs.items()]
    return f"({', '.join([*map(compact, args), *named])})"


def compact(value: Any) -> str:
    """A JSON value on one line."""
    return msgspec.json.encode(value).decode()


def progress_text(progress: Progress) -> str:
    """Progress in words: `3 of 10 (30 %) rendering`."""
    total = "" if progress.total is None else f" of {progress.total:g}"
    share = "" if progress.fraction is None else f" ({progress.fraction:.0%})"
    return f"{progress.current:g}{total}{share} {progress.message}".rstrip()


def moment_text(moment: datetime) -> str:
    """A moment in UTC, and how far from now it is."""
    ago = (datetime.now(UTC) - moment).total_seconds()
    away = f"{span(ago)} ago" if ago >= 0 else f"in {span(-ago)}"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({away})"


def span(seconds: float) -> str:
    """A length of time in its largest unit: `90 s` is `1m`."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return "0s"
