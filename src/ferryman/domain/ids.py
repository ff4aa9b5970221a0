"""Identifiers: time-ordered ids of our own making, and the pattern for all that callers choose."""

import os
import re
import time
from typing import Any, Final

from ferryman.domain.errors import InvalidName

NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Job ids, queues, tasks and tags: what is safe in keys, URLs and shells alike."""

KEY_LIMIT: Final = 256
"""Unique keys and users are the callers' data (`receipt:17`): any printable text up to this."""


def new_id() -> str:
    """A UUIDv7 as 36 characters (RFC 9562, section 5.7): ids sort by the time they were made."""
    return _id_of(_moment(), os.urandom(10).hex())


def new_ids(count: int) -> list[str]:
    """So many of them; cheaper than one by one."""
    moment, random = _moment(), os.urandom(10 * count).hex()
    return [_id_of(moment, random[at : at + 20]) for at in range(0, 20 * count, 20)]


def _moment() -> str:
    """The first two groups: milliseconds since the epoch."""
    moment = f"{time.time_ns() // 1_000_000:012x}"
    return f"{moment[:8]}-{moment[8:]}"


def _id_of(moment: str, random: str) -> str:
    variant = _VARIANTS[random[3]]
    return f"{moment}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"


_VARIANTS: Final = {f"{digit:x}": "89ab"[digit % 4] for digit in range(16)}


def check_name(value: Any, what: str) -> str:
    """Return `value` if it is a legal name.

    Raises:
        InvalidName: it is not; `what` ("job id", "queue", …) names it in the message.
    """
    if not isinstance(value, str) or not NAME_PATTERN.fullmatch(value):
        raise InvalidName(
            f"{value!r} is not a legal {what}: use 1 to 128 of the characters "
            "A-Z a-z 0-9 . _ - and begin with a letter or a digit"
        )
    return value


def check_key(value: Any, what: str) -> str:
    """Return `value` if it may serve as a unique key or a user.

    Raises:
        InvalidName: it is empty, too long, or holds characters that cannot be printed.
    """
    if not isinstance(value, str) or not 0 < len(value) <= KEY_LIMIT or not value.isprintable():
        raise InvalidName(
            f"{value!r} is not a legal {what}: use 1 to {KEY_LIMIT} printable characters"
        )
    return value
