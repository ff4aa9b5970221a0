"""`ferryman dead-letters`: failed jobs, kept until someone retries or discards them."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import typer

from ferryman.cli.invocation import Invocation, command
from ferryman.cli.jobs import allowed, show_page
from ferryman.cli.output import counted
from ferryman.client.collections import DeadLetters
from ferryman.client.handles import JobHandle
from ferryman.domain.states import JobState

group = typer.Typer(no_args_is_help=True, help="See failed jobs, send them back or delete them.")

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Ids of failed jobs; instead of the options."),
]
OfTask = Annotated[str | None, typer.Option("--task", help="All of this task.")]
OfQueue = Annotated[str | None, typer.Option("--queue", help="All of this queue.")]
All = Annotated[bool, typer.Option("--all", help="All there are.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class Choice(msgspec.Struct, frozen=True):
    """Which dead letters are meant: those of some ids, or those that match."""

    ids: list[str]
    task: str | None
    queue: str | None

    @property
    def words(self) -> str:
        """The choice for a question: `all of task 'greet'`."""
        said = [f"{name} {value!r}" for name in ("task", "queue") if (value := getattr(self, name))]
        return f"of {' and '.join(said)}" if said else "in the store"


@command(group, "list")
def list_dead_letters(
    call: Invocation,
    task: OfTask = None,
    queue: OfQueue = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Jobs on a page.")] = 50,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the page before said.", show_default=False)
    ] = None,
) -> None:
    """List failed jobs and why they failed, the newest first."""
    page = call.client.dead_letters.list(task=task, queue=queue, limit=limit, cursor=cursor)

    def table() -> Any:
        from ferryman.cli.views import dead_letters_table

        return dead_letters_table(handle.record for handle in page)

    show_page(call, page, lambda: table() if page else "no dead letters match")


@command(group, "retry")
def retry(
    call: Invocation,
    ids: Ids = None,
    task: OfTask = None,
    queue: OfQueue = None,
    everything: All = False,
    yes: Yes = False,
) -> None:
    """Send failed jobs back to their queues.

    They have all their attempts anew."""
    choice = _choice(ids, task, queue, everything)
    _change(call, choice, yes, ("Retry", "retried"), JobHandle.retry, DeadLetters.retry_all)


@command(group, "discard")
def discard(
    call: Invocation,
    ids: Ids = None,
    task: OfTask = None,
    queue: OfQueue = None,
    everything: All = False,
    yes: Yes = False,
) -> None:
    """Delete failed jobs for good."""
    choice = _choice(ids, task, queue, everything)
    _change(call, choice, yes, ("Delete", "discarded"), JobHandle.discard, DeadLetters.discard_all)


def _choice(ids: list[str] | None, task: str | None, queue: str | None, everything: bool) -> Choice:
    ways = [bool(ids), bool(task or queue), everything]
    if sum(ways) != 1:
        raise typer.BadParameter(
            "say which: some ids, or --task and --queue, or --all (one of the three)",
            param_hint="dead letters",
        )
    return Choice(ids or [], task, queue)


def _change(
    call: Invocation,
    choice: Choice,
    yes: bool,
    words: tuple[str, str],
    one: Callable[[JobHandle[object]], object],
    many: Callable[..., int],
) -> None:
    ask, done = words
    if choice.ids:
        handles = allowed(
            call,
            choice.ids,
            lambda state: state is JobState.FAILED,
            f"{done}: it is {{state}}, no dead letter",
        )
        for handle in handles:
            one(handle)
        wanted = changed = len(handles)
    else:
        where = {"task": choice.task, "queue": choice.queue}
        wanted = call.client.jobs.count(state=JobState.FAILED, task=choice.task, queue=choice.queue)
        call.output.confirm(
            f"{ask} {counted(wanted, 'dead letter')} {choice.words}?", yes or not wanted
        )
        changed = many(call.client.dead_letters, **where)
    call.output.answer({done: changed}, lambda: f"{done} {counted(changed, 'dead letter')}")
    if changed < wanted:
        call.output.note(
            f"{wanted - changed:,} stayed: changed by someone else meanwhile, or a live job "
            "holds their unique key"
        )
