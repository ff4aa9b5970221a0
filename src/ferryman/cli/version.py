"""`ferryman version`."""

import platform

import typer

import ferryman
from ferryman.cli.invocation import OUTPUT, Invocation, command

group = typer.Typer()


@command(group, "version", OUTPUT)
def version(call: Invocation) -> None:
    """Print the versions of Ferryman and Python."""
    versions = {"ferryman": ferryman.__version__, "python": platform.python_version()}
    call.output.answer(
        versions, lambda: f"ferryman {versions['ferryman']}, Python {versions['python']}"
    )
