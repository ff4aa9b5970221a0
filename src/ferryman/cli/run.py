"""`ferryman run`: one job in this process, to try a task or to debug it."""

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferryman.cli.enqueue import find_task
from ferryman.cli.invocation import OUTPUT, App, Invocation, command
from ferryman.cli.output import printable
from ferryman.cli.values import parse_arguments
from ferryman.codec import decode_result
from ferryman.domain.job import Delivery, LogLine, Progress
from ferryman.domain.outcomes import Cancelled, Failed, Snoozed, Succeeded
from ferryman.domain.states import JobState

if TYPE_CHECKING:
    from ferryman.worker.trial import Trial

group = typer.Typer()


@command(group, "run", {"app": App, **OUTPUT})
def run(
    call: Invocation,
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="The task's name.", show_default=False)
    ],
    args: Annotated[
        str,
        typer.Option(metavar="JSON", help="{…} by name, […] in order, - from standard input."),
    ] = "{}",
) -> None:
    """Run one job here and now, without any store, to debug it.

    Time-out, memory limit and isolation do not count, so that breakpoint() works. Exit code 0 if
    it succeeded or snoozed, 1 if it failed or cancelled itself.
    """
    if call.common.app is None:
        raise typer.BadParameter("name the application, for example app:app", param_hint="--app")
    positional, named = parse_arguments(args)
    client = call.client
    job = find_task(client, task).new_job(positional, named)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    from ferryman.worker.trial import run_trial

    reporter = ProgressLines(quiet=call.output.json)
    # What the job prints must not get between the lines of a JSON document.
    with contextlib.redirect_stdout(sys.stderr) if call.output.json else contextlib.nullcontext():
        trial = run_trial(client, job, reporter)
    _tell(call, trial)
    if not isinstance(trial.outcome, Succeeded | Snoozed):
        raise typer.Exit(1)


class ProgressLines:
    """Prints a job's progress as it comes."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def report(
        self,
        delivery: Delivery,
        progress: Progress | None,
        checkpoint: bytes | None,
        lines: tuple[LogLine, ...] = (),
    ) -> None:
        """A line on standard error; what the job logs is there already."""
        if progress is None or self._quiet:
            return
        from ferryman.cli.views import progress_text

        typer.secho(printable(progress_text(progress)), err=True, dim=True)


def _tell(call: Invocation, trial: "Trial") -> None:
    outcome = trial.outcome
    failure = outcome.failure if isinstance(outcome, Failed) else None
    result = decode_result(outcome.result) if isinstance(outcome, Succeeded) else None
    data = {
        "outcome": type(outcome).__name__.lower(),
        "result": result,
        "failure": failure,
        "state": trial.ending.state,
        "reason": trial.ending.reason,
        "delay": trial.ending.delay,
        "duration": round(trial.duration, 6),
    }
    if failure is not None and not call.output.json:
        typer.echo(printable(failure.traceback.rstrip()), err=True)
    call.output.answer(data, lambda: printable(_verdict(trial, result)))


def _verdict(trial: "Trial", result: Any) -> str:
    """How it went, and what a worker would do with such a job next."""
    ending = trial.ending
    match trial.outcome:
        case Succeeded():
            from ferryman.cli.views import compact

            return f"succeeded after {trial.duration:.3g} s: {compact(result)}"
        case Failed() if ending.state is JobState.FAILED:
            return f"failed ({ending.reason}): it would be a dead letter"
        case Failed():
            return f"failed: attempt 2 of {trial.max_attempts} would follow, {_when(ending.delay)}"
        case Snoozed(seconds):
            return f"snoozed for {seconds:g} s"
        case Cancelled(detail=detail):
            return f"cancelled itself ({detail})"
        case _:
            return ending.state


def _when(delay: float) -> str:
    return f"within {delay:g} s" if delay else "at once"
