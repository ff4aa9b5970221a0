"""`ferryman queues`: figures, pause and resume, purge."""

from typing import Annotated, Any

import msgspec
import typer

from ferryman.cli.invocation import Invocation, command
from ferryman.cli.output import counted
from ferryman.domain.job import QueueInfo

group = typer.Typer(no_args_is_help=True, help="See, pause, resume and purge queues.")

Queue = Annotated[
    str, typer.Argument(metavar="QUEUE", help="The queue's name.", show_default=False)
]


@command(group, "list")
def list_queues(call: Invocation) -> None:
    """List the queues and how many jobs each holds."""
    queues = call.client.queues.list()
    _show({"queues": msgspec.to_builtins(queues)}, call, queues)


@command(group, "pause")
def pause(call: Invocation, queue: Queue) -> None:
    """Let no more jobs of a queue start.

    Running ones go on, new ones are taken in."""
    _hint_at_typo(call, queue)
    call.client.queues.pause(queue)
    _show_one(call, queue)


@command(group, "resume")
def resume(call: Invocation, queue: Queue) -> None:
    """Let the jobs of a paused queue start again."""
    _hint_at_typo(call, queue)
    call.client.queues.resume(queue)
    _show_one(call, queue)


@command(group, "purge")
def purge(
    call: Invocation,
    queue: Queue,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Cancel all that waits in a queue.

    That is every job that is not running and has not ended."""
    info = call.client.queues.info(queue)
    jobs = info.scheduled + info.waiting + info.queued
    call.output.confirm(f"Cancel {counted(jobs, 'job')} of queue {queue!r}?", yes or not jobs)
    purged = call.client.queues.purge(queue)
    call.output.answer(
        {"purged": purged}, lambda: f"cancelled {counted(purged, 'job')} of queue {queue!r}"
    )


def _hint_at_typo(call: Invocation, queue: str) -> None:
    """A queue may be paused before its first job; but more often it is misspelt."""
    known = [info.name for info in call.client.queues.list()]
    if queue not in known:
        have = f"; those that have are: {', '.join(known)}" if known else ""
        call.output.note(f"queue {queue!r} has never held a job{have}")


def _show_one(call: Invocation, queue: str) -> None:
    info = call.client.queues.info(queue)
    _show(msgspec.to_builtins(info), call, [info])


def _show(data: Any, call: Invocation, queues: list[QueueInfo]) -> None:
    def table() -> Any:
        from ferryman.cli.views import queues_table

        return queues_table(queues) if queues else "no queue has held a job yet"

    call.output.answer(data, table)
