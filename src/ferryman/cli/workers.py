"""`ferryman workers`: the worker processes that the store knows."""

from typing import Any

import typer

from ferryman.cli.invocation import Invocation, command
from ferryman.cli.records import worker_data

group = typer.Typer(no_args_is_help=True, help="See the worker processes.")


@group.callback()
def workers() -> None:
    """See the worker processes."""


@command(group, "list")
def list_workers(call: Invocation) -> None:
    """List the worker processes and how they are."""
    found = call.client.workers.list()

    def table() -> Any:
        from ferryman.cli.views import workers_table

        return workers_table(found) if found else "no worker runs: start one with `ferryman worker`"

    call.output.answer({"workers": list(map(worker_data, found))}, table)
