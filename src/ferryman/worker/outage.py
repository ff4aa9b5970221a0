"""Loops that outlive their store's absence: say it once, try again with growing, jittered waits."""

import logging
import random
import time

from ferryman.domain.errors import StoreError

FIRST = 0.2
LONGEST = 5.0
"""Seconds between two tries, at first and at most."""


class Outage:
    """Follows whether one loop's calls succeed."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._since: float | None = None
        self._wait = FIRST

    def failed(self, error: BaseException) -> float:
        """Note a failed call; returns the seconds to wait before the next."""
        if self._since is None:
            self._since = time.monotonic()
            said = str(error) or type(error).__name__
            # A fault of our own is tried again as well, and its place is told.
            frames = None if isinstance(error, StoreError | TimeoutError) else error
            message = "%s failed, and is tried again until it works: %s"
            self._logger.error(message, self._what, said, exc_info=frames)
        wait = self._wait * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        self._wait = min(LONGEST, self._wait * 2)
        return wait

    def passed(self) -> None:
        """Note a call that worked."""
        if self._since is None:
            return
        seconds = time.monotonic() - self._since
        self._logger.warning("%s works again, after %.1f s", self._what, seconds)
        self._since = None
        self._wait = FIRST
