"""Priorities: four names for integers; a higher one goes first."""

from enum import IntEnum
from typing import Any, Final

from ferryman.domain.errors import InvalidName


class Priority(IntEnum):
    """The named priorities. Any integer from -1000 to 1000 may stand between them."""

    LOW = -10
    NORMAL = 0
    HIGH = 10
    URGENT = 20


LIMIT: Final = 1000


def parse_priority(value: Any) -> int:
    """The integer behind a priority given as a name or a number.

    Raises:
        InvalidName: neither a known name nor an integer within the limits.
    """
    if isinstance(value, str) and value.upper() in Priority.__members__:
        return int(Priority[value.upper()])
    try:
        number = int(value) if isinstance(value, int | str) else LIMIT + 1
    except ValueError:
        number = LIMIT + 1
    if isinstance(value, bool) or abs(number) > LIMIT:
        raise InvalidName(
            f"{value!r} is not a priority: use urgent, high, normal, low "
            f"or an integer from -{LIMIT} to {LIMIT}"
        )
    return number


def priority_name(value: int) -> str:
    """The name of a priority, or its digits where it has none."""
    return Priority(value).name.lower() if value in Priority._value2member_map_ else str(value)
