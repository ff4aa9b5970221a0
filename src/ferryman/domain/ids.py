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
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | (random >> 68) << 64  # version, 12 random bits
    value |= 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF  # variant, 62 random bits
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


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
