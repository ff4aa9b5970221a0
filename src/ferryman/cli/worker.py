"""`ferryman worker`: run the jobs of an application."""

import os
from typing import Annotated, Literal

import typer

from ferryman.cli.invocation import STORE, Invocation, command
from ferryman.settings import PREFIX
from ferryman.worker.options import WorkerOptions

group = typer.Typer()

AppArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODULE:NAME",
        envvar=f"{PREFIX}APP",
        show_envvar=False,
        show_default=False,
        help="The application, for example app:app; else FERRYMAN_APP.",
    ),
]
Queues = Annotated[str, typer.Option(metavar="A,B,…", help="Serve only these, in this order.")]
Concurrency = Annotated[int, typer.Option(min=1, metavar="N", help="Jobs at a time of a process.")]
Processes = Annotated[int, typer.Option(min=1, metavar="N", help="Worker processes.")]
Allow = Annotated[
    str,
    typer.Option(metavar="A,B,…", help="Put up with: eviction, no-aof, no-fsync, async-commit."),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option(metavar="LEVEL", help="debug, info, warning or error."),
]


@command(group, "worker", STORE)
def worker(
    call: Invocation,
    app: AppArgument = None,
    queues: Queues = "",
    concurrency: Concurrency = 10,
    processes: Processes = 1,
    grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For running jobs to end at a stop.")
    ] = 25.0,
    cancel_grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="For a cancelled job to end by itself.")
    ] = 5.0,
    max_jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Replace a process after N jobs.")
    ] = None,
    max_lifetime: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Replace a process after this.")
    ] = None,
    burst: Annotated[bool, typer.Option("--burst", help="Stop when nothing is left.")] = False,
    preload: Annotated[
        bool, typer.Option("--preload", help="Set resources up before the first job.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart when a source file changes.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Shown to people; else host and pid.")] = None,
    log_format: Annotated[
        Literal["text", "json"], typer.Option(help="--json says json, too.")
    ] = "text",
    log_level: LogLevel = "info",
    allow: Allow = "",
) -> None:
    """Run jobs until told to stop.

    SIGTERM or Ctrl-C: take no more jobs, let the running ones end, hand back the rest. A second
    one ends it at once.
    """
    allow_unsafe(allow)
    options = WorkerOptions(
        queues=split_queues(queues),
        concurrency=concurrency,
        processes=processes,
        grace=grace,
        cancel_grace=cancel_grace,
        max_jobs=max_jobs,
        max_lifetime=max_lifetime,
        burst=burst,
        preload=preload,
        reload=reload,
        name=name,
        log_format="json" if call.output.json else log_format,
        log_level=log_level,
        database_url=call.common.database_url,
        valkey_url=call.common.valkey_url,
    )
    serve(chosen_app(call, app), options)


def allow_unsafe(names: str) -> None:
    """Put up with settings of servers that break a promise, here and in all child processes."""
    if names:
        os.environ[f"{PREFIX}ALLOW"] = names


def chosen_app(call: Invocation, argument: str | None) -> str:
    """The application that a worker is for.

    Raises:
        typer.BadParameter: none was named.
    """
    app = argument or call.common.app
    if app is None:
        raise typer.BadParameter(
            "name the application, for example app:app", param_hint="MODULE:NAME"
        )
    return app


def serve(app: str, options: WorkerOptions) -> None:
    """Run a worker in this process; leaves with its exit code."""
    from ferryman.worker.supervisor import run

    raise typer.Exit(run(app, options))


def split_queues(given: str) -> tuple[str, ...]:
    """`urgent,high` as names."""
    return tuple(name for part in given.split(",") if (name := part.strip()))
