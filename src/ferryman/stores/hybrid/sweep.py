"""The sweep: the guarantee that the lane learns of every queued job, whatever it lost.

Two looks, each cheap. Has the lane kept its keys? Its epoch names the run of the server in which
it was filled: after a flush it is gone, after a restart or on another server it is of another run.
Then every queued job is pushed again, in batches and in the order of claims. And: do the jobs
that are next stand still? A job at the head of its queue in the database, for two looks, is
pushed again. Since claims go by the same order, each job that the lane lacks gets there.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from ferryman.domain.errors import StoreError
from ferryman.stores.hybrid.breaker import Breaker
from ferryman.stores.hybrid.relay import spots_of
from ferryman.stores.hybrid.tuning import Tuning
from ferryman.stores.sql.places import Place, Places
from ferryman.stores.valkey.lane import Lane

T = TypeVar("T")

logger = logging.getLogger("ferryman.lane")

PAGE: Final = 5000
"""Jobs that are read and pushed at once while the lane is filled."""

HEAD: Final = 200
"""Jobs of each queue that are watched for standing still."""

FILL_TERM: Final = 10.0
"""Seconds after which who fills the lane, and says no more, is taken for dead."""

WATCH_TERM: Final = 3.0
"""Seconds for which one process compares the lane with the database for all; and for which the
lane knows that a queue is paused."""

ABOVE_ALL: Final = 2**31 - 1


class Read(Protocol):
    """Does work that changes nothing on a connection to the database."""

    def __call__(self, work: Callable[..., T], /, *args: Any) -> Coroutine[Any, Any, T]:
        """Do it."""
        ...


class Sweep:
    """Safe in any number of processes at once: pushing twice is pushing once."""

    def __init__(
        self, lane: Lane, breaker: Breaker, places: Places, read: Read, tuning: Tuning
    ) -> None:
        self._lane = lane
        self._breaker = breaker
        self._places = places
        self._read = read
        self._tuning = tuning
        self._token = uuid.uuid4().hex
        self._heads: dict[str, set[str]] = {}
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None

    def kick(self) -> None:
        """Begin a round, unless one is under way or was just now; nobody waits for it."""
        now = time.monotonic()
        if self._task is None and now >= self._next and self._breaker.closed:
            self._next = now + self._tuning.sweep_every
            self._task = asyncio.create_task(self._round())

    async def close(self) -> None:
        """Stop. Closing twice is fine."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _round(self) -> None:
        try:
            await self.once()
        except StoreError as error:
            logger.info("the sweep of the lane will be made again: %s", error)
        finally:
            self._task = None

    async def once(self) -> None:
        """One round.

        Raises:
            StoreError: the database cannot be read, or the lane is full.
        """
        epochs = await self._breaker.run(self._lane.epochs)
        if epochs is None:
            return
        run, filled = epochs
        if run != filled:
            await self._fill(run)
        elif await self._breaker.run(lambda: self._lane.watches(self._token, WATCH_TERM)):
            await self._compare()

    # -- a lane that lost its keys -----------------------------------------------------------

    async def _fill(self, run: str) -> None:
        token = uuid.uuid4().hex
        if not await self._breaker.run(lambda: self._lane.begin_to_fill(token, FILL_TERM)):
            return
        begun, filled = time.monotonic(), 0
        for queue in await self._read(self._places.queues):
            number = await self.fill_queue(queue, token)
            if number is None:
                return
            filled += number
        if await self._breaker.run(lambda: self._lane.end_filling(token, run)):
            took = time.monotonic() - begun
            logger.info("the lane was filled anew: %d jobs in %.2f s", filled, took)

    async def fill_queue(self, queue: str, token: str | None = None) -> int | None:
        """Push all jobs that are queued in `queue`; how many, or `None` if that broke off."""
        filled, below = 0, ABOVE_ALL
        while (priority := await self._read(self._places.next_priority, queue, below)) is not None:
            number = await self._fill_priority(queue, priority, token)
            if number is None:
                return None
            filled, below = filled + number, priority
        return filled

    async def _fill_priority(self, queue: str, priority: int, token: str | None) -> int | None:
        start, number = 0, 0
        while True:
            page = await self._read(self._places.stretch, queue, priority, start, PAGE)
            if page and not await self._push(page):
                return None
            if token and not await self._goes_on(token):
                return None
            number += len(page)
            if len(page) < PAGE:
                return number
            # Places may be shared, so the last one is read again; it does no harm.
            last = page[-1].position
            start = last if last > start else last + 1

    async def _goes_on(self, token: str) -> bool:
        return bool(await self._breaker.run(lambda: self._lane.go_on_filling(token, FILL_TERM)))

    async def _push(self, places: list[Place]) -> bool:
        """Whether the lane took them."""
        await self._breaker.run(lambda: self._lane.push(spots_of(places)))
        return self._breaker.closed

    # -- jobs that stand still -------------------------------------------------------------

    async def _compare(self) -> None:
        paused = await self._read(self._places.paused)
        if paused:
            await self._breaker.run(lambda: self._lane.halt(paused, WATCH_TERM))
        heads: dict[str, set[str]] = {}
        for queue in await self._read(self._places.queues):
            if queue not in paused:
                head = await self._read(self._places.head, queue, HEAD)
                before = self._heads.get(queue, set())
                still = [place for place in head if place.job_id in before]
                if still:
                    await self._push(still)
                heads[queue] = {place.job_id for place in head}
        self._heads = heads
