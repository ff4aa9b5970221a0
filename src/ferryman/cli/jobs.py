"""`ferryman jobs`: look at jobs, wait for them, stop them, send them back."""

import getpass
import socket
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ferryman.cli import following
from ferryman.cli.invocation import Invocation, command
from ferryman.cli.records import event_data, job_data, page_data
from ferryman.cli.values import parse_arguments, parse_moment
from ferryman.client.collections import JobPage
from ferryman.client.handles import JobHandle
from ferryman.domain.errors import IllegalTransition
from ferryman.domain.states import JobState

group = typer.Typer(no_args_is_help=True, help="Look at jobs, wait for them, stop or retry them.")

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]
JobIds = Annotated[list[str], typer.Argument(metavar="ID", help="Ids of jobs.", show_default=False)]
Since = Annotated[
    Any,
    typer.Option(metavar="WHEN", parser=parse_moment, help="Made after: 10m ago, 2h, 3d, or ISO."),
]
Until = Annotated[Any, typer.Option(metavar="WHEN", parser=parse_moment, help="Made before.")]


@command(group, "list")
def list_jobs(
    call: Invocation,
    state: Annotated[
        JobState | None, typer.Option(metavar="STATE", help=f"One of {', '.join(JobState)}.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Jobs of this task.")] = None,
    queue: Annotated[str | None, typer.Option(help="Jobs of this queue.")] = None,
    user: Annotated[str | None, typer.Option(help="Jobs on behalf of this user.")] = None,
    tag: Annotated[str | None, typer.Option(help="Jobs that carry this tag.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Jobs on a page.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the page before said.", show_default=False)
    ] = None,
) -> None:
    """List jobs, the newest first."""
    page = call.client.jobs.list(
        state=state,
        task=task,
        queue=queue,
        user=user,
        tag=tag,
        since=since,
        until=until,
        limit=limit,
        cursor=cursor,
    )

    def table() -> Any:
        from ferryman.cli.views import jobs_table

        return jobs_table(handle.record for handle in page)

    show_page(call, page, lambda: table() if page else "no jobs match")


def show_page(call: Invocation, page: JobPage, shown: Callable[[], Any]) -> None:
    """Print a page of jobs, and how to see the next one."""
    call.output.answer(page_data(page), shown)
    if page.partial:
        call.output.note("the store stopped looking before the page was full")
    if page.cursor:
        call.output.note(f"more: --cursor {page.cursor}")


@command(group, "show")
def show(call: Invocation, id: JobId) -> None:
    """Show a job, and what happened to it."""
    handle = call.client.jobs.get(id)
    events = handle.events()

    def view() -> Any:
        from ferryman.cli.views import job_view

        return job_view(handle.record, events)

    data = {**job_data(handle.record), "events": list(map(event_data, events))}
    call.output.answer(data, view)


@command(group, "retry")
def retry(
    call: Invocation,
    ids: JobIds,
    args: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Run it with these instead: {…} by name, […] in order."),
    ] = None,
) -> None:
    """Send failed or cancelled jobs back to their queues.

    They have all their attempts anew."""
    positional, named = _edited(ids, args) if args is not None else ((), {})
    _each(
        call,
        ids,
        lambda state: state in (JobState.FAILED, JobState.CANCELLED),
        "retried: it is {state}, neither failed nor cancelled",
        lambda handle: handle.retry(*positional, **named),
    )


@command(group, "cancel")
def cancel(call: Invocation, ids: JobIds) -> None:
    """Cancel jobs.

    A running one is asked to stop; `jobs wait` tells when it has."""
    _each(
        call,
        ids,
        lambda state: not state.terminal,
        "cancelled: it is {state} already",
        lambda handle: handle.cancel(by=_operator()),
    )


@command(group, "discard")
def discard(call: Invocation, ids: JobIds) -> None:
    """Delete ended jobs with their results and events."""
    handles = allowed(call, ids, lambda state: state.terminal, "discarded: it is {state}")
    for handle in handles:
        handle.discard()
    ids = [handle.id for handle in handles]
    call.output.answer({"discarded": ids}, lambda: f"discarded {', '.join(ids)}")


@command(group, "wait")
def wait(
    call: Invocation,
    id: JobId,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Wait no longer than this.")
    ] = None,
) -> None:
    """Wait until a job has ended, and print its result.

    Exit codes: 0 it succeeded, 1 it failed or was cancelled, 2 there is no such job, 3 it had
    not ended in time (it goes on).
    """
    following.wait(call, call.client.jobs.get(id), timeout)


@command(group, "watch")
def watch(call: Invocation, id: JobId) -> None:
    """Watch a job's progress until it ends.

    With --json: one line of JSON for each change, the last one being the ended job. Exit codes
    are those of `jobs wait`.
    """
    following.watch(call, call.client.jobs.get(id))


def _each(
    call: Invocation,
    ids: list[str],
    allows: Callable[[JobState], bool],
    refusal: str,
    act: Callable[[JobHandle[Any]], object],
) -> None:
    """Change jobs one by one, after a look at all of them; print what they became."""
    handles = allowed(call, ids, allows, refusal)
    for handle in handles:
        act(handle)
    records = [handle.refresh().record for handle in handles]

    def table() -> Any:
        from ferryman.cli.views import jobs_table

        return jobs_table(records)

    call.output.answer({"jobs": list(map(job_data, records))}, table)


def allowed(
    call: Invocation, ids: list[str], allows: Callable[[JobState], bool], refusal: str
) -> list[JobHandle[Any]]:
    """The jobs of these ids; a single one that is missing or refused stops them all."""
    handles = [call.client.jobs.get(id) for id in dict.fromkeys(ids)]
    for handle in handles:
        if not allows(handle.state):
            reason = refusal.format(state=handle.state)
            others = "; none of the others was touched" if len(handles) > 1 else ""
            raise IllegalTransition(f"job {handle.id} cannot be {reason}{others}")
    return handles


def _edited(ids: list[str], args: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if len(ids) > 1:
        raise typer.BadParameter("they are for one job: name a single id", param_hint="--args")
    positional, named = parse_arguments(args)
    if not positional and not named:
        raise typer.BadParameter("there are none in it", param_hint="--args")
    return positional, named


def _operator() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user may have no name
        return socket.gethostname()
