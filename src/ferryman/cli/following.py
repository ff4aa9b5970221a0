"""Following a job to its end: in silence, or with a progress bar.

Exit codes: 0 it succeeded, 1 it failed or was cancelled, 3 it had not ended in time.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from ferryman.cli.invocation import Invocation
from ferryman.cli.output import console, print_json, print_json_line, printable
from ferryman.cli.records import job_data, result
from ferryman.client.handles import JobHandle
from ferryman.domain.errors import JobNotFound, WaitTimeout
from ferryman.domain.job import Job
from ferryman.domain.states import JobState

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOOK = 0.25
"""Seconds between two looks at a job that is watched."""

ROUND = 30.0
"""Seconds of one round of waiting: not longer, so that Ctrl-C and a dead server are noticed."""


def wait(call: Invocation, handle: JobHandle[Any], timeout: float | None) -> None:
    """Return once the job has ended well, with its result printed.

    Raises:
        WaitTimeout: it has not ended in time; it goes on.
        typer.Exit: it failed or was cancelled.
    """
    deadline = time.monotonic() + timeout if timeout is not None else None
    job = handle.record
    while not job.state.terminal:
        left = ROUND if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"job {job.id} is {job.state} after {timeout:g} s; it goes on")
        job = _look(call, job.id, min(ROUND, left))
    _conclude(call, job)


def watch(call: Invocation, handle: JobHandle[Any]) -> None:
    """Show a job's progress until it ends.

    Raises:
        typer.Exit: it failed or was cancelled.
    """
    if call.output.json:
        for job in _changes(call, handle.record):
            print_json_line(job_data(job))
        _exit(job)
    elif call.output.in_terminal:
        _conclude(call, _live(call, handle.record))
    else:
        for job in _changes(call, handle.record):
            typer.echo(_line(job))
        _conclude(call, job)


def _look(call: Invocation, id: str, patience: float) -> Job:
    async def look() -> Job | None:
        store = await call.client.store()
        return await store.wait_for_end(id, patience)

    job = call.client.run(look())
    if job is None:
        raise JobNotFound(f"job {id!r} was deleted while it was waited for")
    return job


def _changes(call: Invocation, job: Job) -> Iterator[Job]:
    """The job as it is, and again after each change, up to its end."""
    yield job
    while not job.state.terminal:
        now = _look(call, job.id, LOOK)
        if now != job:
            job = now
            yield job


def _live(call: Invocation, job: Job) -> Job:
    with _bar() as bar:
        task = bar.add_task("", total=None)
        for latest in _changes(call, job):
            _update(bar, task, latest)
    return latest


def _bar() -> "Progress":
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    return Progress(*columns, BarColumn(), TaskProgressColumn(), Elapsed(), console=console())


def _update(bar: "Progress", task: "TaskID", job: Job) -> None:
    progress = job.progress
    message = f" {progress.message}" if progress and progress.message else ""
    description = printable(f"{job.task} {job.state}{message}").replace("\n", " ")
    if progress is None:
        bar.update(task, description=description)
    else:
        bar.update(task, description=description, completed=progress.current, total=progress.total)


def _line(job: Job) -> str:
    from ferryman.cli.views import progress_text

    progress = f" {progress_text(job.progress)}" if job.progress else ""
    return printable(f"{job.task} {job.state}{progress}")


def _conclude(call: Invocation, job: Job) -> None:
    """Say how the job ended, and leave with the exit code of that."""
    if call.output.json:
        print_json(job_data(job))
    elif job.state is JobState.SUCCEEDED:
        from ferryman.cli.views import compact

        typer.echo(compact(result(job)))
    else:
        typer.secho(printable(_bad_end(job)), err=True, fg="red")
    _exit(job)


def _bad_end(job: Job) -> str:
    if job.failure is not None and job.state is JobState.FAILED:
        said = f"{job.reason}: {job.failure.kind}: {job.failure.message}"
        return f"job {job.id} failed ({said}); see: ferryman jobs show {job.id}"
    detail = f": {job.detail}" if job.detail else ""
    return f"job {job.id} {job.state} ({job.reason}{detail})"


def _exit(job: Job) -> None:
    if job.state is not JobState.SUCCEEDED:
        raise typer.Exit(1)
