"""The relay: brings the ids of queued jobs to the lane, and takes them out of it for workers.

Nothing waits for it longer than a moment, and nothing depends on it: what it fails to bring, the
sweep and the workers find in the database.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence

from ferryman.domain.errors import StoreError, StoreFull
from ferryman.stores.hybrid.breaker import Breaker
from ferryman.stores.hybrid.tuning import Tuning
from ferryman.stores.sql.places import Place
from ferryman.stores.valkey.lane import Entry, Lane, Spot

logger = logging.getLogger("ferryman.lane")

Look = Callable[[list[str]], Awaitable[list[Place]]]
"""The places of those of some ids that are queued, as the database says."""


class Relay:
    """Pushes gather while one is on its way, so that many enqueues share a call.

    Attributes:
        filled: whether the lane had all queued jobs when it was last asked. While it has not,
            what it gives would come before jobs that are next, so nothing is taken from it.
    """

    def __init__(self, lane: Lane, breaker: Breaker, look: Look, tuning: Tuning) -> None:
        self._lane = lane
        self._breaker = breaker
        self._look = look
        self._tuning = tuning
        self._places: list[Place] = []
        self._ids: list[str] = []
        self._sending: asyncio.Task[None] | None = None
        self._sent = asyncio.Event()
        self._late = False
        self.filled = False
        self._depth: int | None = None
        self._settled: dict[str, list[bytes]] = defaultdict(list)
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.Task[None] | None = None

    # -- to the lane -----------------------------------------------------------------------

    def add(self, places: Iterable[Place], ids: Iterable[str] = ()) -> None:
        """Push these places, and those of these ids as far as they are queued."""
        if not self._breaker.closed:
            return
        self._places += places
        self._ids += ids
        if (self._places or self._ids) and self._sending is None:
            self._sent.clear()
            self._sending = asyncio.create_task(self._send())

    async def flush(self) -> None:
        """Wait until all was pushed, but only a moment, and not at all where pushes are late."""
        if self._sending is None or self._late:
            return
        try:
            async with asyncio.timeout(self._tuning.enqueue_wait):
                await self._sent.wait()
        except TimeoutError:
            self._late = True

    async def _send(self) -> None:
        try:
            while self._places or self._ids:
                places, self._places = self._places, []
                ids, self._ids = self._ids, []
                await self._push(places, ids)
        except StoreError as error:
            logger.info("some jobs were not pushed, the sweep will find them: %s", error)
        finally:
            self._sending = None
            self._late = False
            self._sent.set()

    async def _push(self, places: list[Place], ids: list[str]) -> None:
        if ids:
            places = places + await self._look(ids)
        if places:
            await self._breaker.run(lambda: self._lane.push(spots_of(places)))

    # -- from the lane ---------------------------------------------------------------------

    async def take(self, queues: Sequence[str], limit: int) -> list[Entry]:
        """Up to `limit` ids, from one queue after the other; none while the lane lacks some.

        As many queues are asked at once as it took the last time to get what was wanted.
        """
        if limit <= 0:
            return []
        names = list(dict.fromkeys(queues))
        depth = len(names) if self._depth is None else self._depth
        taken: list[Entry] = []
        for part in (names[:depth], names[depth:]):
            left = limit - len(taken)
            if part and left > 0 and self.filled:
                taken += await self._take_from(part, left)
        if not self.filled:  # look whether it is by now, and take nothing yet
            await self._take_from(names[:1], 0)
            return []
        self._depth = names.index(taken[limit - 1].queue) + 1 if len(taken) >= limit else None
        await self.give_back(taken[limit:])
        return taken[:limit]

    async def _take_from(self, queues: Sequence[str], limit: int) -> list[Entry]:
        marks = {queue: self._settled.pop(queue) for queue in queues if queue in self._settled}
        hold = self._tuning.hold
        given = await self._breaker.run(lambda: self._lane.take(queues, limit, hold, marks))
        self.filled, entries = given or (False, [])
        return entries

    async def give_back(self, entries: Sequence[Entry]) -> None:
        """Put entries back to their places: nobody claimed them."""
        with contextlib.suppress(StoreFull):  # they come back when they were held long enough
            if entries:
                await self._breaker.run(lambda: self._lane.give_back(entries))

    async def delivered(self, taken: Sequence[Entry], ids: Iterable[str]) -> None:
        """Settle what was taken: these ids were claimed, and the others were refused.

        A refused job that is still queued, in a queue that is paused for example, stays held, and
        so comes back after a while.
        """
        claimed = set(ids)
        refused = [one.job_id for one in taken if one.job_id not in claimed]
        queued: set[str] = set()
        if refused:
            queued = {place.job_id for place in await self._look(refused)}
        for one in taken:
            if one.job_id not in queued:
                self._settled[one.queue].append(one.mark)
        if self._settled and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._tuning.settle_after, self._settle)

    def _settle(self) -> None:
        """Settle what no call took along."""
        self._timer = None
        if self._settled and self._breaker.closed:
            marks, self._settled = dict(self._settled), defaultdict(list)
            self._settling = asyncio.create_task(self._settle_now(marks))

    async def _settle_now(self, marks: dict[str, list[bytes]]) -> None:
        try:
            await self._breaker.run(lambda: self._lane.settle(marks))
        except StoreFull as error:
            logger.debug("taken ids were not settled, and will come back: %s", error)

    async def close(self) -> None:
        """Push and settle what is left, as far as a moment allows. Closing twice is fine."""
        if self._timer is not None:
            self._timer.cancel()
            self._settle()
        tasks = [task for task in (self._sending, self._settling) if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=self._tuning.enqueue_wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def spots_of(places: Iterable[Place]) -> dict[str, list[Spot]]:
    """Places by queue, as the lane takes them."""
    spots: dict[str, list[Spot]] = defaultdict(list)
    for place in places:
        spots[place.queue].append(Spot(place.job_id, place.priority, place.position))
    return spots
