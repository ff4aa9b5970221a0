"""A clock that stands still until a test moves it."""

import time
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Epoch milliseconds, as the stores' `clock` gives them; begins at the present."""

    def __init__(self) -> None:
        # A server may drop at once what is due to be dropped at a moment long past.
        self._now = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._now += round(seconds * 1000)

    def moment(self, seconds: float = 0.0) -> datetime:
        """The moment `seconds` from now."""
        present = datetime.fromtimestamp(self._now // 1000, UTC)
        return present + timedelta(milliseconds=self._now % 1000, seconds=seconds)
