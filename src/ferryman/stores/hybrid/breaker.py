"""The circuit breaker: one lane that is down must not cost every call its time."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ferryman.domain.errors import StoreError, StoreFull
from ferryman.stores.hybrid.tuning import Tuning

T = TypeVar("T")

logger = logging.getLogger("ferryman.lane")

GOOD_PROBES: Final = 3
"""Tries in a row that must succeed before the lane is used again, however short `steady` is."""

RELAPSE: Final = 60.0
"""Seconds within which a lane that goes down again is trusted later than before."""


class Breaker:
    """Closed: the lane is used. Open: it is not, and a task of its own tries it.

    The lane is used again only after it answered every try for a while, and for longer each time
    that it goes down soon after: a lane that flaps is left alone.

    Args:
        probe: tries the lane; raises `StoreError` if it cannot be used.
        recovered: done as soon as the lane is used again.

    Attributes:
        switches: how often it opened or closed.
        reason: why it is open, or was last.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[object]],
        recovered: Callable[[], Awaitable[object]],
        tuning: Tuning,
    ) -> None:
        self._probe = probe
        self._recovered = recovered
        self._tuning = tuning
        self._steady = tuning.steady
        self._used = asyncio.Event()
        self._used.set()
        self._unused = asyncio.Event()
        self._changed_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._shut = False
        self.switches = 0
        self.reason = ""

    @property
    def closed(self) -> bool:
        """Whether the lane is used."""
        return self._used.is_set()

    async def run(self, work: Callable[[], Awaitable[T]], limit: float | None = None) -> T | None:
        """Do `work` on the lane within a limit of time; `None` if the lane cannot be used.

        Raises:
            StoreFull: the server takes no more; it is not down.
        """
        if not self.closed:
            return None
        try:
            async with asyncio.timeout(limit or self._tuning.call_limit):
                return await work()
        except StoreFull:
            raise
        except StoreError as error:
            self.trip(str(error))
        except TimeoutError:
            self.trip("it does not answer in time")
        return None

    def trip(self, reason: str) -> None:
        """Use the lane no more until it has recovered."""
        if not self.closed or self._shut:
            return
        now = time.monotonic()
        relapsed = self.switches > 0 and now - self._changed_at < RELAPSE
        longest = self._tuning.steady_longest
        self._steady = min(2 * self._steady, longest) if relapsed else self._tuning.steady
        self._changed_at = now
        self._used.clear()
        self._unused.set()
        self.switches += 1
        self.reason = reason
        logger.warning(
            "degraded: the lane is down and jobs go on from the database (%s; switches: %d)",
            reason,
            self.switches,
        )
        self._task = asyncio.get_running_loop().create_task(self._recover())

    async def until_open(self) -> None:
        """Return once the lane is not used."""
        await self._unused.wait()

    async def until_closed(self) -> None:
        """Return once the lane is used."""
        await self._used.wait()

    async def close(self) -> None:
        """Try the lane no more. Closing twice is fine."""
        self._shut = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _recover(self) -> None:
        good, since, pause = 0, 0.0, self._tuning.probe_first
        while True:
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - spreads load
            if not await self._answers(self._probe):
                good, pause = 0, min(2 * pause, self._tuning.probe_longest)
                continue
            good += 1
            since = time.monotonic() if good == 1 else since
            pause = min(self._steady / GOOD_PROBES, self._tuning.probe_longest)
            steady = good >= GOOD_PROBES and time.monotonic() - since >= self._steady
            if steady:
                self._close()
                # Not before: a job that was queued in between would be neither pushed nor told of.
                if not await self._answers(self._recovered):
                    self.trip("it went down again")
                return

    async def _answers(self, work: Callable[[], Awaitable[object]]) -> bool:
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(self._tuning.call_limit):
                await work()
            return True
        return False

    def _close(self) -> None:
        now = time.monotonic()
        logger.warning("the lane is back after %.1f s", now - self._changed_at)
        self._changed_at = now
        self.switches += 1
        self._unused.clear()
        self._used.set()
