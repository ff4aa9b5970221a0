"""`ferryman dev`: all that development needs, in one terminal."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, Any

import msgspec
import typer

from ferryman.cli.failures import Relayed
from ferryman.cli.invocation import STORE, Invocation, command
from ferryman.cli.output import print_json_line, printable
from ferryman.cli.serve import MISSING, PORT, free_port, start_beside
from ferryman.cli.serve import installed as http_installed
from ferryman.cli.worker import (
    Allow,
    AppArgument,
    Concurrency,
    LogLevel,
    Processes,
    Queues,
    allow_unsafe,
    chosen_app,
    serve,
    split_queues,
)
from ferryman.settings import PREFIX
from ferryman.worker.options import WorkerOptions

group = typer.Typer()

GRACE = 3.0
"""Seconds for running jobs at a stop: at a keyboard, one wants the prompt back."""


@command(group, "dev", STORE)
def dev(
    call: Invocation,
    app: AppArgument = None,
    queues: Queues = "",
    concurrency: Concurrency = 10,
    processes: Processes = 1,
    valkey: Annotated[
        bool, typer.Option("--valkey", help="Keep the jobs in a Valkey server of its own.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload/--no-reload", help="Restart when a source file changes.")
    ] = True,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Of the dashboard; 0 is: without.", show_default="8321"
        ),
    ] = None,
    log_level: LogLevel = "info",
    allow: Allow = "",
) -> None:
    """Run jobs on this machine, with nothing set up before.

    Where no store is configured, jobs are kept in .ferryman/ below the working directory: in a
    SQLite file, with a Valkey server as its lane where `ferryman[embedded]` is installed.
    """
    if valkey and call.settings.configured:
        raise typer.BadParameter(
            "a store is configured already: leave out --valkey, or unset FERRYMAN_DATABASE_URL "
            "and FERRYMAN_VALKEY_URL",
            param_hint="--valkey",
        )
    allow_unsafe(allow)
    options = WorkerOptions(
        queues=split_queues(queues),
        concurrency=concurrency,
        processes=processes,
        grace=GRACE,
        reload=reload and find_spec("watchfiles") is not None,
        log_format="json" if call.output.json else "text",
        log_level=log_level,
        database_url=call.common.database_url,
        valkey_url=call.common.valkey_url,
    )
    path = chosen_app(call, app)
    server = _valkey_server() if valkey else _lane(call)
    with server:
        facts = _look_at(path)
        with _dashboard(path, port, options.reload) as url:
            _introduce(call, path, facts, options, valkey, url)
            serve(path, options)


@contextlib.contextmanager
def _valkey_server() -> Iterator[None]:
    """A Valkey server for this process and its children."""
    from ferryman.embedded import valkey_server

    with valkey_server() as url:
        os.environ[f"{PREFIX}VALKEY_URL"] = url
        yield


@contextlib.contextmanager
def _lane(call: Invocation) -> Iterator[None]:
    """The lane of the embedded default, where it is used and can be had; others here join it."""
    from ferryman.embedded import installed, running_url, valkey_server

    if call.settings.configured or not installed() or running_url() is not None:
        yield
        return
    with valkey_server():
        yield


@contextlib.contextmanager
def _dashboard(app: str, port: int | None, reload: bool) -> Iterator[str | None]:
    """The HTTP service beside the worker, and its address; `None` where there is none."""
    if port == 0 or not http_installed():
        yield None
        return
    chosen = free_port(PORT if port is None else port, exactly=port is not None)
    process = start_beside(app, chosen, reload=reload)
    try:
        yield f"http://127.0.0.1:{chosen}"
    finally:
        process.terminate()
        process.wait()


def _look_at(app: str) -> dict[str, Any]:
    """What `ferryman doctor` says about an application that can be run.

    In a process of its own: the application's code may name another store than the environment,
    and it must not be imported where the supervisor will run.

    Raises:
        Relayed: the application or its store cannot be used.
    """
    command = [sys.executable, "-m", "ferryman", "doctor", "--json", "--app", app]
    found = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    answer: dict[str, Any] = msgspec.json.decode(found.stdout)
    if error := answer.get("error"):
        raise Relayed(error, found.returncode)
    for finding in answer["findings"]:
        if finding["level"] == "error":
            error = {"type": "StoreError", "message": finding["what"], "hint": finding["mend"]}
            raise Relayed({**error, "traceback": None}, found.returncode)
    return answer


def _introduce(
    call: Invocation,
    app: str,
    checkup: dict[str, Any],
    options: WorkerOptions,
    own_server: bool,
    dashboard: str | None,
) -> None:
    """Say what is used, where the data is, and what to do next."""
    facts = {
        "app": app,
        "store": checkup["store"],
        "url": checkup["url"],
        "reload": options.reload,
        "dashboard": dashboard,
    }
    if call.output.json:
        print_json_line(facts)
        return
    reload = "restarts when a source file changes" if options.reload else "does not reload"
    hint = "" if checkup["extras"]["reload"] else " (pip install 'ferryman[reload]')"
    export = f"export {PREFIX}VALKEY_URL={checkup['url']}"
    lines = [
        ("app", f"{app}, {reload}{hint}"),
        ("store", f"{facts['store']} at {facts['url']}"),
        ("dashboard", dashboard or MISSING),
        *([("in other terminals", export)] if own_server else []),
        ("try", f"ferryman enqueue TASK --app {app} --args '{{…}}'"),
        ("and", "ferryman jobs list"),
        ("stop with", "Ctrl-C"),
    ]
    for name, value in lines:
        typer.echo(f"{typer.style(f'{name:>18}', dim=True)}  {printable(value)}")
