"""A worker: claims no more than it can run, runs it, and tells the store how it ended."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Iterable
from typing import Final

from ferryman.client.client import Client
from ferryman.client.resources import LiveResources
from ferryman.domain.errors import FerrymanError, LeaseLost, StoreError
from ferryman.domain.job import WorkerInfo
from ferryman.stores import JobStore
from ferryman.worker.buffer import ReportBuffer
from ferryman.worker.exchange import Exchange
from ferryman.worker.executor import Executor
from ferryman.worker.hints import HintListener
from ferryman.worker.isolate import ChildPool
from ferryman.worker.messages import Why
from ferryman.worker.options import WorkerOptions
from ferryman.worker.outage import Outage
from ferryman.worker.running import Host, RunningJobs
from ferryman.worker.threads import Threads

logger = logging.getLogger("ferryman.worker")

UNWIND: Final = 0.25
"""Seconds that jobs have to unwind when the grace is over."""
LAST_CALL: Final = 0.2
"""Seconds that the last write to the store may take then, and the tearing down of resources."""
TEAR_DOWN: Final = 10.0
"""Seconds that resources have to be torn down where no grace sets a shorter time."""


class ResourceBroken(FerrymanError):
    """A resource that was to be loaded before the first job could not be."""


class Worker:
    """Runs jobs under one identity, whose lease somebody else keeps.

    Args:
        store: the open store of the running loop.
        host: told which jobs run in children.
        app: the path by which a child imports the application; `None` is: none can.
    """

    def __init__(
        self,
        client: Client,
        store: JobStore,
        info: WorkerInfo,
        options: WorkerOptions,
        host: Host,
        app: str | None,
    ) -> None:
        self._client = client
        self._store = store
        self._options = options
        self._info = info
        self._wake = asyncio.Event()
        self._told_to_stop = asyncio.Event()
        self._hungry = True
        self._empty = False
        self._stop_at: float | None = None
        lifetime = options.max_lifetime
        # Not all processes of a worker at the same moment.
        spread = random.uniform(0.9, 1.0)  # noqa: S311 - spreads load, guards nothing
        self._retire_at = None if lifetime is None else time.monotonic() + lifetime * spread
        self._drained: list[asyncio.Future[bool]] = []
        self._lease_lost = False
        self._closed = False
        self._outage = Outage(logger, f"the worker's exchange with the {store.kind} store")
        self._exchange = Exchange(store, info, client.settings.lease)
        self._hints = HintListener(store, info.queues, self._work_may_be_there)
        self._buffer = ReportBuffer(store)
        self._resources = LiveResources(in_thread=True)
        self._threads = Threads()
        self._children = app and ChildPool(app, options, self._buffer)
        executor = Executor(
            client, self._resources, self._threads, self._children or None, options.cancel_grace
        )
        self._jobs = RunningJobs(client, executor, self._buffer, host, self._wake.set)

    # -- from outside --------------------------------------------------------------------------

    async def load(self) -> None:
        """Load what the tasks of the served queues use: isolated ones in children, the rest here.

        Raises:
            ResourceBroken: one could not be loaded; the cause is what its function raised.
        """
        try:
            await self._load()
        except Exception as error:
            said = f"a resource could not be loaded: {type(error).__name__}: {error}"
            raise ResourceBroken(said) from error

    async def _load(self) -> None:
        served = [
            task for task in self._client.tasks.values() if task.policy.queue in self._info.queues
        ]
        here = [task for task in served if task.policy.isolation is None]
        isolated = [task for task in served if task.policy.isolation is not None]
        await self._resources.load(one for task in here for one in task.resources.values())
        if isolated and self._children:
            names = [one.name for task in isolated for one in task.resources.values()]
            await self._children.load(tuple(dict.fromkeys(names)))

    async def run(self) -> Why:
        """Claim and run jobs until there is a reason to leave.

        Raises:
            LeaseLost: the lease is over. Whatever still runs must be stopped at once.
        """
        while (why := self._over()) is None:
            await self._turn()
        if self._jobs.busy:
            await self._hand_back_rest()
        return why

    def stop(self, grace: float) -> None:
        """Claim no more, and be gone in `grace` seconds; a shorter grace takes effect."""
        at = time.monotonic() + grace
        self._stop_at = at if self._stop_at is None else min(at, self._stop_at)
        self._told_to_stop.set()
        self._wake.set()

    def cancel(self, jobs: Iterable[tuple[str, int]]) -> None:
        """Ask these running jobs (id, token) to stop."""
        self._jobs.cancel(jobs)

    def lose_lease(self) -> None:
        """Whoever keeps the lease found that it is over: `run` raises `LeaseLost`."""
        self._lease_lost = True
        self._wake.set()

    async def drain(self) -> bool:
        """Return when nothing is queued, due or running here; jobs due later are left.

        Returns:
            false if the worker left before that.
        """
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiter.set_result(False) if self._closed else self._drained.append(waiter)
        self._work_may_be_there()
        return await waiter

    async def abandon(self) -> None:
        """Stop whatever can be stopped, and give it a moment to unwind.

        Threads end with the process; the keeper of the lease hands their jobs back then.
        """
        self._jobs.hand_back()
        deadline = time.monotonic() + UNWIND
        while any(not attempt.in_thread for attempt in self._jobs.unfinished):
            if time.monotonic() >= deadline:
                break
            self._wake.clear()
            await _within(deadline - time.monotonic(), self._wake)

    @property
    def clean(self) -> bool:
        """Whether no code of any job is left running here."""
        return not self._jobs.slots

    async def close(self) -> None:
        """Tear down resources and children, in what is left of the grace."""
        patience = TEAR_DOWN
        if self._stop_at is not None:
            patience = min(TEAR_DOWN, max(LAST_CALL, self._stop_at - time.monotonic()))
        self._closed = True
        self._tell_drained(False)
        await self._hints.close()
        await self._buffer.close()
        if self._children:
            await self._children.close(patience)
        if self.clean:
            try:
                async with asyncio.timeout(patience):
                    await self._resources.close()
            except Exception:
                logger.exception("a resource could not be torn down")
        self._threads.close()

    # -- the loop ------------------------------------------------------------------------------

    def _over(self) -> Why | None:
        if self._lease_lost:
            raise LeaseLost("the keeper of the lease found that it is over")
        idle = not self._jobs.busy
        if self._stop_at is not None and (idle or time.monotonic() >= self._stop_at):
            return Why.STOPPED
        if self._retiring and idle:
            return Why.RECYCLED
        if self._options.burst and self._empty:
            return Why.DRAINED
        return None

    async def _turn(self) -> None:
        """Exchange endings for deliveries, or else wait until there is something to exchange."""
        self._wake.clear()
        if self._jobs.endings and self._jobs.unfinished:
            await asyncio.sleep(self._client.settings.linger)
        limit = self._appetite()
        if self._jobs.endings or limit or self._exchange.overdue:
            await self._trade(limit)
        else:
            await self._rest()

    async def _trade(self, limit: int) -> None:
        endings = list(self._jobs.endings)
        try:
            await self._buffer.flush()
            traded = await self._exchange.trade(endings, limit, self._jobs.held(len(endings)))
        except StoreError as error:
            await self._pause(self._outage.failed(error))
            return
        if traded.claimed or not limit:
            self._outage.passed()  # else it only looked for what a failed claim may have left
        self._jobs.written(traded.verdicts)
        self._jobs.start(traded.deliveries)
        if traded.claimed:
            await self._fed(len(traded.deliveries), limit)

    async def _fed(self, claimed: int, limit: int) -> None:
        """After a claim: one that was filled may be followed by another at once."""
        self._hungry = claimed == limit
        if self._hungry:
            return
        if not claimed and self._asked_for_end and not self._jobs.busy:
            await self._look_for_end()
        else:
            self._hints.listen()

    async def _look_for_end(self) -> None:
        """Nothing runs and nothing is queued; unless something is due now, this is the end."""
        try:
            moved, _ = await self._store.promote()
        except StoreError as error:
            moved = 1
            await self._pause(self._outage.failed(error))
        if moved:
            self._hungry = True
            return
        self._empty = True
        self._tell_drained(True)
        self._hints.listen()

    def _tell_drained(self, drained: bool) -> None:
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(drained)
        self._drained.clear()

    async def _rest(self) -> None:
        """Wait until something changes, or the clock brings something."""
        retire_at = None if self._retiring else self._retire_at
        moments = [retire_at, self._stop_at, self._exchange.look_again_at]
        soonest = min((moment for moment in moments if moment is not None), default=None)
        await _within(None if soonest is None else soonest - time.monotonic(), self._wake)

    async def _pause(self, seconds: float) -> None:
        """Wait before a call is made again, but not past the moment to leave."""
        if self._stop_at is not None:
            await asyncio.sleep(max(0.0, min(seconds, self._stop_at - time.monotonic())))
        else:
            await _within(seconds, self._told_to_stop)

    def _appetite(self) -> int:
        """How many jobs to claim: free slots, where there may be jobs for them."""
        if self._stop_at is not None or self._retiring:
            return 0
        if not (self._hungry or self._jobs.endings):
            return 0
        free = self._info.concurrency - self._jobs.slots
        most = self._options.max_jobs
        return max(0, free if most is None else min(free, most - self._jobs.started))

    def _work_may_be_there(self) -> None:
        self._hungry = True
        self._wake.set()

    @property
    def _retiring(self) -> bool:
        most = self._options.max_jobs
        spent = most is not None and self._jobs.started >= most
        return spent or (self._retire_at is not None and time.monotonic() >= self._retire_at)

    @property
    def _asked_for_end(self) -> bool:
        return self._options.burst or bool(self._drained)

    async def _hand_back_rest(self) -> None:
        """The grace is over: stop what still runs, and write what it came to."""
        await self.abandon()
        if self._jobs.endings:
            with contextlib.suppress(StoreError, TimeoutError):
                async with asyncio.timeout(LAST_CALL):
                    await self._trade(0)


async def _within(seconds: float | None, event: asyncio.Event) -> None:
    """Wait for the event, at most so long (`None`: without limit)."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
