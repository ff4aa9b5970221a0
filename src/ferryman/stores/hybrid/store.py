"""The hybrid store: a SQL store, whose queued jobs are handed out by a lane in Valkey.

All that is true of a job is in the database. What the lane gives is an offer: the claim in the
database takes it or refuses it, and while the lane is down claims go there straight away.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Sequence
from typing import Any

import msgspec

from ferryman.domain.errors import LeaseLost, StoreError, StoreFull, StoreUnsafe
from ferryman.domain.job import Delivery, NewJob, Submitted, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import ClaimRequest, Clock, Finding, Verdict
from ferryman.stores.hybrid.breaker import Breaker
from ferryman.stores.hybrid.courier import Courier
from ferryman.stores.hybrid.relay import Relay
from ferryman.stores.hybrid.sweep import Sweep
from ferryman.stores.hybrid.tuning import DEFAULT, Tuning
from ferryman.stores.sql.places import Place
from ferryman.stores.sql.producers import Intake
from ferryman.stores.sql.store import SqlStore
from ferryman.stores.sql.transactions import when_committed
from ferryman.stores.valkey.lane import Entry, Lane

_LATE: float = 1.0
"""Seconds that a blocking wait on the lane may last too long before the lane counts as down."""


class HybridStore(SqlStore):
    """Jobs in SQLite or PostgreSQL, handed out by Valkey or Redis.

    Args:
        settings: `valkey_url` names the lane, the rest is as for `SqlStore`.
        clock: epoch milliseconds, instead of the database's clock.
        tuning: how long the lane may take, and how soon it is trusted again.

    Raises:
        ConfigError: a URL cannot be used, or a driver is not installed.
    """

    _tells_places = True

    def __init__(
        self, settings: Settings, clock: Clock | None = None, tuning: Tuning = DEFAULT
    ) -> None:
        super().__init__(settings, clock)
        self._tuning = tuning
        self._lane = Lane(settings)
        self._breaker = Breaker(self._lane.probe, self._lane.distrust, tuning)
        self._relay = Relay(self._lane, self._breaker, self._queued_among, tuning)
        read = self._engines.read.run_repeatable
        self._sweep = Sweep(self._lane, self._breaker, self._places, read, tuning)
        self._courier = Courier(settings, tuning)
        self._fill_at = 0.0

    @property
    def kind(self) -> str:
        """`"hybrid"`."""
        return "hybrid"

    # -- life ------------------------------------------------------------------------------

    async def open(self) -> None:
        """See `JobStore.open`. A lane that is down is no reason not to open."""
        await super().open()
        findings = await self._breaker.run(self._lane.open)
        for finding in findings or ():
            if finding.level == "error":
                raise StoreUnsafe(f"the lane cannot be used: {finding.what}. {finding.mend}")

    async def close(self) -> None:
        """See `JobStore.close`."""
        await self._sweep.close()
        await self._relay.close()
        await self._breaker.close()
        await self._lane.close()
        await super().close()

    async def check(self) -> list[Finding]:
        """See `JobStore.check`."""
        return [*await super().check(), self.lane_state(), *await self._check_lane()]

    def lane_state(self) -> Finding:
        """Whether this process uses the lane, and how often that changed."""
        switches = self._breaker.switches
        if self._breaker.closed:
            return Finding("ok", f"the lane delivers (switches: {switches})")
        what = f"degraded: the lane is down, so jobs go on from the database (switches: {switches})"
        return Finding("warning", what, f"start it again: {self._breaker.reason}")

    @property
    def degraded(self) -> bool:
        """See `JobStore.degraded`."""
        return not self._breaker.closed

    async def _check_lane(self) -> list[Finding]:
        with contextlib.suppress(StoreFull):
            return await self._breaker.run(self._lane.open) or []
        return []

    # -- jobs that become queued ------------------------------------------------------------

    def _announce_work(
        self, queues: Iterable[str], ids: Iterable[str] = (), places: Sequence[Place] = ()
    ) -> None:
        if self._breaker.closed:
            self._relay.add(places, ids)
        else:
            super()._announce_work(queues, ids, places)

    def _announce_when_committed(
        self, transaction: Any, intake: Intake, jobs: Sequence[NewJob]
    ) -> None:
        super()._announce_when_committed(transaction, intake, jobs)
        when_committed(transaction, intake.places, self._push_from_anywhere)

    def _push_from_anywhere(self, places: Iterable[Place]) -> None:
        if self._loop is None:
            self._courier.add(places)
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed just now
            self._loop.call_soon_threadsafe(self._relay.add, places)

    async def _queued_among(self, ids: list[str]) -> list[Place]:
        return await self._engines.read.run_repeatable(self._places.of, ids)

    async def submit(self, jobs: Sequence[NewJob], *, transaction: Any = None) -> list[Submitted]:
        """See `JobStore.submit`. The lane learns of it within a moment, or else by the sweep."""
        submitted = await super().submit(jobs, transaction=transaction)
        if transaction is None:
            await self._relay.flush()
        return submitted

    async def admit(self, ids: Sequence[str]) -> list[Verdict]:
        """See `JobStore.admit`."""
        verdicts = await super().admit(ids)
        await self._relay.flush()
        return verdicts

    async def retry(
        self, ids: Sequence[str], *, args: bytes | None = None, by: str = ""
    ) -> list[Verdict]:
        """See `JobStore.retry`."""
        verdicts = await super().retry(ids, args=args, by=by)
        await self._relay.flush()
        return verdicts

    async def hand_back(
        self,
        worker: WorkerInfo,
        *,
        kill: bool,
        spare: Collection[str] = (),
        keep: Collection[str] = (),
    ) -> list[tuple[str, JobState]]:
        """See `JobStore.hand_back`."""
        returned = await super().hand_back(worker, kill=kill, spare=spare, keep=keep)
        await self._relay.flush()
        return returned

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        """See `JobStore.reap`."""
        returned = await super().reap(limit)
        await self._relay.flush()
        return returned

    async def promote(self, limit: int = 1000) -> tuple[int, float | None]:
        """See `JobStore.promote`. Each call also sees to it that a sweep is made in time."""
        promoted = await super().promote(limit)
        await self._relay.flush()
        self._sweep.kick()
        return promoted

    async def sweep(self) -> None:
        """See now to it that the lane has all that it should have.

        Raises:
            StoreError: the database cannot be read.
        """
        await self._sweep.once()

    # -- deliveries --------------------------------------------------------------------------

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        """See `JobStore.claim`."""
        taken = await self._take(request)
        fill = self._fills(taken, request)
        if not taken and not fill:
            return []
        async with self._offered(taken):
            deliveries = await self._claim(request, _ids(taken), fill=fill)
        await self._claimed(taken, deliveries, fill=fill)
        return deliveries + await self._instead(taken, deliveries, request, filled=fill)

    async def finish(self, endings: Sequence[Ending]) -> list[Verdict]:
        """See `JobStore.finish`."""
        verdicts = await super().finish(endings)
        await self._relay.flush()
        return verdicts

    async def finish_and_claim(
        self, endings: Sequence[Ending], request: ClaimRequest
    ) -> tuple[list[Verdict], list[Delivery]]:
        """See `JobStore.finish_and_claim`."""
        # What goes back to its queue may be next, and the lane does not know of it yet.
        again = any(ending.state is JobState.QUEUED for ending in endings)
        taken = [] if again else await self._take(request)
        fill = again or self._fills(taken, request)
        if not taken and not fill:
            return await self.finish(endings), []
        async with self._offered(taken):
            verdicts, deliveries = await self._exchange(endings, request, _ids(taken), fill=fill)
        await self._claimed(taken, deliveries, fill=fill)
        await self._relay.flush()
        more = await self._instead(taken, deliveries, request, filled=fill)
        return verdicts, deliveries + more

    async def _instead(
        self,
        taken: Sequence[Entry],
        deliveries: Sequence[Delivery],
        request: ClaimRequest,
        *,
        filled: bool,
    ) -> list[Delivery]:
        """As many other jobs as the database refused, of those that the lane gave."""
        refused = len(taken) - len(deliveries)
        if filled or refused <= 0:
            return []
        request = msgspec.structs.replace(request, limit=refused)
        others = await self._take(request)
        try:
            async with self._offered(others):
                found = await self._claim(request, _ids(others))
        except (LeaseLost, StoreError):
            return []  # what was claimed before must reach its worker
        await self._claimed(others, found, fill=True)
        return found

    async def _take(self, request: ClaimRequest) -> list[Entry]:
        return await self._relay.take(request.queues, request.limit)

    @contextlib.asynccontextmanager
    async def _offered(self, taken: Sequence[Entry]) -> AsyncIterator[None]:
        """A claim of what was taken. If it fails others may have that at once, before what is next:
        else it would be held, as for a worker that says no more."""
        try:
            yield
        except (LeaseLost, StoreError):
            await self._relay.give_back(taken)
            raise

    def _fills(self, taken: Sequence[Entry], request: ClaimRequest) -> bool:
        """Whether to look into the database for more than the lane gave."""
        if len(taken) >= request.limit > 0:
            return False
        return not self._relay.filled or time.monotonic() >= self._fill_at

    async def _claimed(
        self, taken: Sequence[Entry], deliveries: Sequence[Delivery], *, fill: bool
    ) -> None:
        ids = {delivery.job_id for delivery in deliveries}
        if fill:
            found = ids.difference(_ids(taken))
            self._fill_at = 0.0 if found else time.monotonic() + self._tuning.fill_every
        # What was claimed must reach its worker, whatever becomes of the rest.
        with contextlib.suppress(StoreError):
            await self._relay.delivered(taken, ids)

    # -- queues ----------------------------------------------------------------------------

    async def pause(self, queue: str) -> None:
        """See `JobStore.pause`. The lane holds back its ids as long as a sweep tells it to."""
        await super().pause(queue)
        await self._on_lane(self._lane.halt([queue], self._tuning.hold))

    async def resume(self, queue: str) -> None:
        """See `JobStore.resume`."""
        await super().resume(queue)
        await self._on_lane(self._lane.go_on(queue))
        with contextlib.suppress(StoreFull):
            await self._sweep.fill_queue(queue)

    async def purge(self, queue: str) -> int:
        """See `JobStore.purge`."""
        purged = await super().purge(queue)
        await self._on_lane(self._lane.clear(queue))
        with contextlib.suppress(StoreFull):
            await self._sweep.fill_queue(queue)
        return purged

    async def _on_lane(self, work: Coroutine[Any, Any, None]) -> None:
        async def awaited() -> None:
            await work

        try:
            with contextlib.suppress(StoreFull):
                await self._breaker.run(awaited)
        finally:
            work.close()

    # -- hints -----------------------------------------------------------------------------

    async def wait_for_work(self, queues: Sequence[str], timeout: float) -> None:
        """See `JobStore.wait_for_work`. On the lane, or on the database while the lane is down."""
        deadline = time.monotonic() + timeout
        ended = False
        while not ended and (left := deadline - time.monotonic()) > 0:
            if self._breaker.closed:
                ended = await self._until_switched(self._wait_on_lane(queues, left), left + _LATE)
            else:
                ended = await self._until_switched(super().wait_for_work(queues, left), None)

    async def _wait_on_lane(self, queues: Sequence[str], timeout: float) -> None:
        try:
            await self._lane.wait_for_work(queues, timeout)
        except StoreError as error:
            self._breaker.trip(str(error))

    async def _until_switched(self, work: Coroutine[Any, Any, None], limit: float | None) -> bool:
        """Whether `work` ended before the breaker switched; past the limit the lane is down."""
        closed = self._breaker.closed
        switch = self._breaker.until_open() if closed else self._breaker.until_closed()
        tasks = {asyncio.create_task(work), asyncio.create_task(switch)}
        try:
            done, _ = await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not done:
            self._breaker.trip("a blocking read does not end")
        return closed is self._breaker.closed


def _ids(taken: Sequence[Entry]) -> list[str]:
    return [one.job_id for one in taken]
