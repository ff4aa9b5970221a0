"""Numbers, lengths of time and moments as an operator reads them: short, and with units."""

from datetime import UTC, datetime
from typing import Final

_LENGTHS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def number(value: float) -> str:
    """A count: `1,234`; of what is not whole, one digit: `0.4`."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def counted(value: int, one: str, many: str = "") -> str:
    """A count with its noun: `1 job`, `1,000 jobs`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def span(seconds: float | None) -> str:
    """A length of time in its two largest units: `850 ms`, `3.2 s`, `4 min 10 s`, `2 d 3 h`."""
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for position, (size, unit) in enumerate(_LENGTHS):
        if whole >= size:
            parts = [f"{whole // size} {unit}"]
            if position + 1 < len(_LENGTHS):
                finer, name = _LENGTHS[position + 1]
                if rest := whole % size // finer:
                    parts.append(f"{rest} {name}")
            return " ".join(parts)
    return "0 s"


def distance(moment: datetime, now: datetime) -> str:
    """How far a moment is from now, in its largest unit: `3 s ago`, `in 2 h`, `now`."""
    seconds = (now - moment).total_seconds()
    for size, unit in _LENGTHS:
        if abs(seconds) >= size:
            length = f"{int(abs(seconds) // size)} {unit}"
            return f"{length} ago" if seconds > 0 else f"in {length}"
    return "now"


def exact(moment: datetime) -> str:
    """A moment to the millisecond, in UTC."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC"


def clock(moment: datetime) -> str:
    """The time of day, in UTC."""
    return f"{moment.astimezone(UTC):%H:%M:%S}"


def size(count: float | None) -> str:
    """Bytes: `312 MiB`, `1.4 GiB`."""
    if count is None:
        return ""
    value = float(count)
    for unit in _SIZES:
        if value < 1000 or unit == _SIZES[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def share(fraction: float) -> str:
    """A part of a whole: `42 %`."""
    return f"{fraction * 100:.0f} %"


def sentence(word: str) -> str:
    """A reason or a state as words: `worker_lost` is `worker lost`."""
    return word.replace("_", " ")
