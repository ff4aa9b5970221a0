"""What goes to the terminal: JSON for programs, text and tables for people."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDE = 10_000
"""Columns where nobody looks: output that is piped on is never cut."""


class Output:
    """Standard output for answers, standard error for all else."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    @property
    def in_terminal(self) -> bool:
        """Whether a person looks at the answer, so that it may move."""
        return not self.json and sys.stdout.isatty()

    def answer(self, data: Any, shown: Callable[[], "RenderableType"]) -> None:
        """The command's answer: `data` as JSON, or what `shown` gives for people."""
        if self.json:
            print_json(data)
        else:
            _print(shown())

    def note(self, text: str) -> None:
        """A remark beside the answer; never part of it."""
        if not self.json:
            typer.secho(text, err=True, dim=True)

    def confirm(self, question: str, yes: bool) -> None:
        """Go on only if someone says so.

        Raises:
            typer.BadParameter: there is nobody to be asked.
            typer.Abort: the answer was no.
        """
        if yes:
            return
        if self.json or not sys.stdin.isatty():
            raise typer.BadParameter(f"{question} Nobody can be asked here: add --yes")
        typer.confirm(question, abort=True, err=True)


def print_json(data: Any) -> None:
    """A document on standard output, indented."""
    typer.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def print_json_line(data: Any) -> None:
    """One of a row of documents on standard output, each on a line of its own, at once."""
    typer.echo(msgspec.json.encode(data).decode())
    sys.stdout.flush()


def _print(shown: "RenderableType") -> None:
    out = console()
    if out.is_terminal:
        out.print(shown)
        return
    with out.capture() as captured:
        out.print(shown)
    # Cells are filled up with spaces, which help nobody in a pipe.
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def console() -> "Console":
    """Standard output as rich sees it."""
    from rich.console import Console

    out = Console(highlight=False, markup=False, emoji=False)
    return (
        out if out.is_terminal else Console(highlight=False, markup=False, emoji=False, width=WIDE)
    )


def counted(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """`text` without characters that could command the terminal: others wrote it."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )
