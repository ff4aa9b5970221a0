"""`ferryman enqueue`: ask for a job."""

import difflib
from typing import Annotated, Any, Literal

import typer

from ferryman.cli import following
from ferryman.cli.invocation import Invocation, command
from ferryman.cli.records import job_data
from ferryman.cli.values import parse_arguments, parse_due
from ferryman.client.client import Client
from ferryman.client.handles import JobHandle
from ferryman.client.task import Task
from ferryman.domain.errors import UnknownTask

group = typer.Typer()


@command(group, "enqueue")
def enqueue(
    call: Invocation,
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="The task's name.", show_default=False)
    ],
    args: Annotated[
        str,
        typer.Option(metavar="JSON", help="{…} by name, […] in order, - from standard input."),
    ] = "{}",
    queue: Annotated[str | None, typer.Option(help="Instead of the task's own.")] = None,
    priority: Annotated[
        str | None, typer.Option(help="urgent, high, normal, low, or a number.")
    ] = None,
    id: Annotated[
        str | None, typer.Option(help="The job's id; with one that is there, nothing is new.")
    ] = None,
    delay: Annotated[float, typer.Option(metavar="SECONDS", help="Not before.")] = 0.0,
    at: Annotated[
        Any, typer.Option(metavar="WHEN", parser=parse_due, help="Not before (ISO 8601).")
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Never start it later than this.")
    ] = None,
    unique: Annotated[
        str | None, typer.Option(metavar="KEY", help="No second live job of this key.")
    ] = None,
    on_conflict: Annotated[
        Literal["refuse", "return"], typer.Option(help="What to do if there is one.")
    ] = "refuse",
    user: Annotated[str | None, typer.Option(help="On whose behalf.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="May be repeated.")] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Longest run of one attempt.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and its result.")] = False,
) -> None:
    """Enqueue a job, and print its id.

    With --app the name and the arguments are checked against the task's code. With --wait the
    exit code tells how the job ended, as in `jobs wait`.
    """
    positional, named = parse_arguments(args)
    chosen = find_task(call.client, task) if call.common.app else call.client.named(task)
    ready = chosen.using(
        id=id,
        queue=queue,
        priority=priority,
        delay=delay,
        run_at=at,
        expires_in=expires_in,
        unique=unique,
        on_conflict=on_conflict,
        user=user,
        tags=tag or (),
        timeout=timeout,
    )
    handle = ready.enqueue(*positional, **named)
    if not wait:
        _show(call, handle)
    _warn_if_unread(call, handle)
    if wait:
        call.output.note(handle.id)
        if call.output.in_terminal:
            following.watch(call, handle)
        else:
            following.wait(call, handle, None)


def find_task(client: Client, name: str) -> Task[..., Any]:
    """The application's task of this name.

    Raises:
        UnknownTask: there is none; the message names the one that was likely meant.
    """
    try:
        return client.lookup(name)
    except UnknownTask as error:
        close = difflib.get_close_matches(name, client.tasks, 1)
        raise UnknownTask(f"{error}; did you mean {close[0]!r}?" if close else str(error)) from None


def _show(call: Invocation, handle: JobHandle[Any]) -> None:
    if call.output.json:
        data = {**job_data(handle.record), "created": handle.created}
        call.output.answer(data, lambda: handle.id)
        return
    call.output.answer(None, lambda: handle.id)
    if not handle.created:
        call.output.note("that job was there already: nothing new was enqueued")


def _warn_if_unread(call: Invocation, handle: JobHandle[Any]) -> None:
    """A job in a queue that nobody reads waits for ever, which is rarely meant."""
    if call.output.json or handle.state.terminal:
        return
    queue = handle.record.queue
    read = {
        name for worker in call.client.workers.list() if worker.live for name in worker.info.queues
    }
    if queue not in read:
        call.output.note(f"no worker reads queue {queue!r} at this moment; the job waits for one")
