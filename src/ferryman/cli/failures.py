"""How a command that fails says so: a line for people or JSON for programs, and an exit code."""

import sys
from typing import Any, Final

import typer

from ferryman.cli.output import print_json, printable
from ferryman.client.loading import BrokenApplication
from ferryman.domain.errors import (
    ConfigError,
    FerrymanError,
    InvalidArguments,
    InvalidName,
    JobNotFound,
    StoreUnavailable,
    UnknownTask,
    WaitTimeout,
)

FAILED: Final = 1
USAGE: Final = 2
TIMED_OUT: Final = 3

USAGE_ERRORS: Final = (ConfigError, InvalidArguments, InvalidName, JobNotFound, UnknownTask)

UsageError: Final[type[Exception]] = typer.BadParameter.__bases__[0]
"""The base of all that typer raises for a wrong command line; it exports only this one leaf."""

HINTS: Final[dict[type[Exception], str]] = {
    StoreUnavailable: "`ferryman doctor` tells more",
    JobNotFound: "`ferryman jobs list` shows what is there; `--database-url`, `--valkey-url` or "
    "`--app` name another store",
}


class Relayed(FerrymanError):
    """An error that another process met, and has described; `code` was its exit code."""

    def __init__(self, details: dict[str, Any], code: int) -> None:
        super().__init__(details["message"])
        self.details = details
        self.code = code


def exit_code(error: Exception) -> int:
    """0 is success; 1 failed, 2 usage or not found, 3 not in time."""
    if isinstance(error, Relayed):
        return error.code
    if isinstance(error, WaitTimeout):
        return TIMED_OUT
    return USAGE if isinstance(error, (*USAGE_ERRORS, UsageError)) else FAILED


def report(error: Exception, *, json: bool) -> None:
    """Print an error that a person can mend."""
    if json:
        print_json({"error": describe(error)})
    elif isinstance(error, UsageError):
        _show_usage(error)
    else:
        details = describe(error)
        sys.stderr.write(printable(details["traceback"] or ""))
        typer.secho(f"error: {printable(details['message'])}", err=True, fg="red")
        if details["hint"]:
            typer.secho(f"  {details['hint']}", err=True)


def describe(error: Exception) -> dict[str, Any]:
    """An error as data: its type, its message, what to try, the user's own traceback."""
    if isinstance(error, Relayed):
        return error.details
    if isinstance(error, UsageError):
        message: str = getattr(error, "format_message")()  # noqa: B009 - its base is not exported
        return {"type": "UsageError", "message": message, "hint": None, "traceback": None}
    return {
        "type": type(error).__name__,
        "message": str(error),
        "hint": HINTS.get(type(error)),
        "traceback": error.users_traceback if isinstance(error, BrokenApplication) else None,
    }


def _show_usage(error: Exception) -> None:
    show: Any = getattr(error, "show")  # noqa: B009 - its base is not exported
    show()
