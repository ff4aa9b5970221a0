"""Exceptions as text: what a failed attempt keeps of the error."""

import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from ferryman.domain.outcomes import Failure

MESSAGE_LIMIT: Final = 4_000
TRACEBACK_LIMIT: Final = 16_000

_OURS: Final = str(Path(__file__).parent)


def describe(error: BaseException, hide: Callable[[str], str]) -> Failure:
    """The error's type, message and frames; no local values, and no frames of the worker's own.

    Args:
        hide: takes the job's secrets out of a text; whole, for half a secret is not known as one.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
    return Failure(
        kind=name, message=hide(_text(error))[:MESSAGE_LIMIT], traceback=_end(hide(_frames(error)))
    )


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"(its message cannot be had: {type(error).__qualname__}.__str__ fails)"


def _frames(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(type(error), error, _users(error.__traceback__))
        return "".join(lines)
    except Exception:  # a user's __str__ or __repr__ that fails
        return "".join(traceback.format_tb(error.__traceback__))


def _end(text: str) -> str:
    if len(text) <= TRACEBACK_LIMIT:
        return text
    # The end names the error and the place; what is cut is the way there.
    mark = "[the beginning is cut off]\n"
    return mark + text[-(TRACEBACK_LIMIT - len(mark)) :]


def _users(frames: TracebackType | None) -> TracebackType | None:
    """The frames from the first on that is not the worker's; all, if there is no other."""
    start = frames
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_OURS):
        start = start.tb_next
    return start or frames
