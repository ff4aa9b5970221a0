"""The `ferryman` command."""

import contextlib
import os
import sys
from collections.abc import Sequence

import typer

from ferryman.cli import (
    dead_letters,
    dev,
    doctor,
    enqueue,
    init,
    jobs,
    keys,
    migrate,
    queues,
    run,
    serve,
    version,
    worker,
    workers,
)
from ferryman.cli.failures import FAILED, UsageError, exit_code, report
from ferryman.cli.invocation import App, Common, DatabaseUrl, Json, ValkeyUrl
from ferryman.domain.errors import FerrymanError

# Plain help: it is quicker to print than rich's panels, and fits one screen.
root = typer.Typer(
    name="ferryman",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or not found, 3 not in time.",
)
for single in (init, dev, worker, serve, enqueue, run):
    root.add_typer(single.group)
for name, several in {
    "jobs": jobs,
    "queues": queues,
    "dead-letters": dead_letters,
    "workers": workers,
    "keys": keys,
}.items():
    root.add_typer(several.group, name=name)
for single in (migrate, doctor, version):
    root.add_typer(single.group)


@root.callback()
def common(
    context: typer.Context,
    app: App = None,
    database_url: DatabaseUrl = None,
    valkey_url: ValkeyUrl = None,
    json: Json = False,
) -> None:
    """Background jobs for Python web applications."""
    context.obj = Common(app=app, database_url=database_url, valkey_url=valkey_url, json=json)


def main() -> None:
    """Run the command that the process was started with, and exit."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    json = "--json" in arguments
    try:
        code: int | None = typer.main.get_command(root).main(
            args=list(arguments), prog_name="ferryman", standalone_mode=False
        )
        sys.stdout.flush()
    except (FerrymanError, UsageError) as error:
        report(error, json=json)
        return exit_code(error)
    except typer.Abort:
        typer.echo("nothing was done", err=True)
        return FAILED
    except BrokenPipeError:
        return _nobody_reads()
    return code or 0


def _nobody_reads() -> int:
    """Let go of a standard output that was closed (`… | head`), so that the exit is quiet."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
