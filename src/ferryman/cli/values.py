"""Values that options take: arguments as JSON, moments, spans of time."""

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import typer

from ferryman.codec import ARGS_LIMIT

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_arguments(given: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments by name from a JSON object, in order from an array; `-` reads standard input.

    Raises:
        typer.BadParameter: neither of the two.
    """
    # One byte more than is allowed is enough to have the codec refuse it.
    document = sys.stdin.read(ARGS_LIMIT + 1) if given == "-" else given
    try:
        value = msgspec.json.decode(document)
    except msgspec.DecodeError as error:
        raise _not_arguments(f"this is not JSON ({error}): {_start(document)}") from None
    match value:
        case dict():
            return (), value
        case list():
            return tuple(value), {}
        case _:
            raise _not_arguments(f"neither an object nor an array: {_start(document)}")


def _not_arguments(problem: str) -> typer.BadParameter:
    example = """write for example '{"receipt_id": 17}' or '[17, "abc.jpg"]', in quotes"""
    return typer.BadParameter(f"{problem}; {example}", param_hint="--args")


def _start(document: str) -> str:
    return document if len(document) <= 60 else f"{document[:60]}…"


def parse_moment(given: str) -> datetime:
    """A moment gone by: `10m`, `2h`, `3d` ago, or ISO 8601 (without a zone it is local time).

    Raises:
        typer.BadParameter: neither of the two.
    """
    if (span := _span(given)) is not None:
        return datetime.now(UTC) - span
    return _iso(given, "write 10m, 2h or 3d (ago), or 2026-01-31T14:30")


def parse_due(given: str) -> datetime:
    """A moment to come, in ISO 8601 (without a zone it is local time).

    Raises:
        typer.BadParameter: it is not a moment.
    """
    return _iso(given, "write 2026-01-31T14:30, or use --delay")


def parse_span(given: str) -> timedelta:
    """A span of time: `12h`, `30d`.

    Raises:
        typer.BadParameter: it is not one.
    """
    if (span := _span(given)) is None:
        raise typer.BadParameter(f"{given!r} is not a span of time: write 12h or 30d")
    return span


def _span(given: str) -> timedelta | None:
    match = re.fullmatch(r"(\d{1,6})([smhdw])", given)
    return timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None


def _iso(given: str, advice: str) -> datetime:
    try:
        return datetime.fromisoformat(given).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{given!r} is not a moment: {advice}") from None
