"""A worker: claims no more than it can run, runs it, and tells the store how it ended."""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from ferryman.client.client import Client
from ferryman.client.resources import LiveResources
from ferryman.domain.errors import FerrymanError, LeaseLost, StoreError
from ferryman.domain.job import WorkerInfo
from ferryman.stores import JobStore
from ferryman.worker.buffer import ReportBuffer
from ferryman.worker.exchange import Exchange
from ferryman.worker.executor import Executor
from ferryman.worker.hints import LONGEST_WAIT, HintListener
from ferryman.worker.isolate import ChildPool
from ferryman.worker.messages import Why
from ferryman.worker.options import WorkerOptions
from ferryman.worker.outage import Outage
from ferryman.worker.running import Ended, Host, RunningJobs
from ferryman.worker.threads import Threads

logger = logging.getLogger("ferryman.worker")

UNWIND: Final = 0.25
"""Seconds that jobs have to unwind when the grace is over."""
LAST_CALL: Final = 0.2
"""Seconds that the last write to the store may take then, and the tearing down of resources."""
TOLD_EVERY: Final = 1.0
"""Seconds between two words to the supervisor that claims are answered."""

LEAST_SHARE: Final = 16
"""Endings or free slots at least for which a call is made beside another."""
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
        self._hungry = True
        self._plenty = False
        self._empty = False
        self._stop_at: float | None = None
        lifetime = options.max_lifetime
        # Not all processes of a worker at the same moment.
        spread = random.uniform(0.9, 1.0)  # noqa: S311 - spreads load, guards nothing
        self._retire_at = None if lifetime is None else time.monotonic() + lifetime * spread
        self._drained: list[asyncio.Future[bool]] = []
        self._pace = store.pace
        share = math.ceil(options.concurrency / self._pace.exchanges)
        self._share = min(options.concurrency, max(LEAST_SHARE, share))
        self._trades: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._rousing: asyncio.Task[None] | None = None
        self._under_way = 0
        self._claiming = 0
        self._host = host
        self._told_at = -math.inf
        self.claimed_at: float | None = None
        self._trade_again_at = 0.0
        self._linger_until: float | None = None
        self._fault: Exception | None = None
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
        try:
            while (why := self._over()) is None:
                await self._turn()
            if self._jobs.busy or self._under_way or self._watch:
                await self._hand_back_rest()
            return why
        finally:
            for task in self._trades:
                task.cancel()
            await asyncio.gather(*self._trades, return_exceptions=True)

    def stop(self, grace: float) -> None:
        """Claim no more, and be gone in `grace` seconds; a shorter grace takes effect."""
        at = time.monotonic() + grace
        self._stop_at = at if self._stop_at is None else min(at, self._stop_at)
        self._trade_again_at = 0.0
        self._wake.set()

    def cancel(self, jobs: Iterable[tuple[str, int]]) -> None:
        """Ask these running jobs (id, token) to stop."""
        self._jobs.cancel(jobs)

    def lose_lease(self) -> None:
        """Whoever keeps the lease found that it is over: `run` raises `LeaseLost`."""
        self._fault = LeaseLost("the keeper of the lease found that it is over")
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
        if self._fault is not None:
            raise self._fault
        idle = not (self._jobs.busy or self._under_way or self._watch)
        if self._stop_at is not None and (idle or time.monotonic() >= self._stop_at):
            return Why.STOPPED
        if self._retiring and idle:
            return Why.RECYCLED
        if self._options.burst and self._empty:
            return Why.DRAINED
        return None

    async def _turn(self) -> None:
        """Begin to exchange endings for deliveries, or else wait until there is a reason to."""
        self._wake.clear()
        if self._watch and not self._rousing and (self._hungry or self._leaving):
            self._rousing = self._begin(self._rouse())
        now = time.monotonic()
        limit = self._appetite()
        if self._may_trade(now, limit):
            self._begin_trade(limit)
        else:
            await self._rest(now)

    def _lingers(self, now: float) -> bool:
        """Whether a few endings wait for others that may come, where calls cost that much."""
        few = 0 < len(self._jobs.ended) < min(LEAST_SHARE, self._share)
        if not (few and self._jobs.running and self._pace.linger) or self._hungry:
            return False
        if self._linger_until is None:
            self._linger_until = now + self._pace.linger
        return now < self._linger_until

    def _may_trade(self, now: float, limit: int) -> bool:
        """Whether there is something to exchange now.

        A call that is alone is made at once. Others are made beside it for as much as would fill
        one: what is less waits until it returns, and so shares the next.
        """
        if now < self._trade_again_at:
            return False
        if not self._under_way:
            if self._lingers(now):
                return False
            return bool(self._jobs.ended or limit or self._exchange.overdue)
        if self._exchange.overdue or self._under_way >= self._pace.exchanges:
            return False
        return len(self._jobs.ended) >= self._share or (self._plenty and limit >= self._share)

    def _begin_trade(self, limit: int) -> None:
        ended = self._jobs.take(self._share)
        self._linger_until = None
        self._under_way += 1
        self._claiming += limit
        if limit:
            self._hungry = False  # unless it is said again from now on
        # Decided now: before its call is made, others may be, and it may become time to look.
        self._begin(self._trade(ended, limit, look=self._exchange.overdue))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._trades.add(task)
        task.add_done_callback(self._trades.discard)
        return task

    async def _trade(self, ended: list[Ended], limit: int, *, look: bool) -> None:
        try:
            await self._exchange_for(ended, limit, look=look)
        except Exception as error:
            self._fault = error
        finally:
            self._under_way -= 1
            self._wake.set()

    async def _keep_watch(self) -> None:
        """Claim what comes, as long as there is nothing else to do about it."""
        try:
            while limit := self._spare():
                self._claiming += limit
                await self._exchange_for([], limit, wait=True)
                await asyncio.sleep(0)  # what it brought begins before the next is sent
        except Exception as error:
            self._fault = error
        finally:
            self._watch = self._rousing = None
            self._hungry = True  # nobody is told of what comes now
            self._wake.set()

    def _spare(self) -> int:
        """Slots for jobs that may come, while nothing else asks for slots."""
        busy = self._hungry or self._plenty or self._asked_for_end or self._exchange.overdue
        return 0 if busy or self._leaving else self._free()

    async def _rouse(self) -> None:
        """Get back the slots that the waiting claim may fill."""
        try:
            await self._exchange.rouse()
        except StoreError:
            if self._watch:
                self._watch.cancel()

    async def _exchange_for(
        self, ended: list[Ended], limit: int, *, wait: bool = False, look: bool = False
    ) -> None:
        endings = [one.ending for one in ended]
        try:
            await self._buffer.flush()
            if look:
                traded = await self._exchange.look(endings, self._jobs.held)
            elif not wait:
                traded = await self._exchange.trade(endings, limit)
            elif self._exchange.overdue:
                return  # others look by now, and would not know what this brings
            else:
                traded = await self._exchange.wait(limit, LONGEST_WAIT)
        except StoreError as error:
            self._jobs.put_back(ended)
            self._hungry = True
            self._pause(error)
            return
        except BaseException:
            self._jobs.put_back(ended)
            raise
        finally:
            self._claiming -= limit
        if traded.claimed:
            self._claimed()
        if traded.claimed or not limit:
            self._outage.passed()  # else it only looked for what a failed claim may have left
        self._jobs.written(ended, traded.verdicts)
        self._jobs.start(traded.deliveries)
        if traded.claimed:
            await self._fed(len(traded.deliveries), limit)
        elif limit:
            self._hungry = True

    def _claimed(self) -> None:
        """Note that a claim was answered, and say so once in a while."""
        self.claimed_at = time.monotonic()
        if self.claimed_at - self._told_at >= TOLD_EVERY:
            self._told_at = self.claimed_at
            self._host.claimed()

    async def _fed(self, claimed: int, limit: int) -> None:
        """After a claim: one that was filled may be followed by others at once."""
        self._plenty = claimed == limit
        if self._plenty or self._hungry:
            return
        alone = self._under_way == 1 and not self._watch
        if not claimed and alone and self._asked_for_end and not self._jobs.busy:
            await self._look_for_end()
        elif self._asked_for_end or not self._exchange.can_wait:
            self._hints.listen()
        elif not self._watch:
            self._watch = self._begin(self._keep_watch())

    async def _look_for_end(self) -> None:
        """Nothing runs and nothing is queued; unless something is due now, this is the end."""
        try:
            moved, _ = await self._store.promote()
        except StoreError as error:
            moved = 1
            self._pause(error)
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

    async def _rest(self, now: float) -> None:
        """Wait until something changes, or the clock brings something."""
        retire_at = None if self._retiring else self._retire_at
        moments = [retire_at, self._stop_at, self._exchange.look_again_at]
        moments += [self._trade_again_at, self._linger_until]
        # What is past waits for the calls that are under way.
        soonest = min((moment for moment in moments if moment and moment > now), default=None)
        await _within(None if soonest is None else soonest - now, self._wake)

    def _pause(self, error: StoreError) -> None:
        """Wait before a call is made again; calls that fail together count as one."""
        now = time.monotonic()
        if now >= self._trade_again_at:
            self._trade_again_at = now + self._outage.failed(error)

    def _appetite(self) -> int:
        """How many jobs to claim: free slots, where there may be jobs for them."""
        if self._leaving or not (self._hungry or self._plenty or self._jobs.ended):
            return 0
        return self._free()

    def _free(self) -> int:
        """Slots that one more claim may fill."""
        free = min(self._share, self._info.concurrency - self._jobs.slots - self._claiming)
        most = self._options.max_jobs
        return max(
            0, free if most is None else min(free, most - self._jobs.started - self._claiming)
        )

    def _work_may_be_there(self) -> None:
        self._hungry = True
        self._wake.set()

    @property
    def _leaving(self) -> bool:
        return self._stop_at is not None or self._retiring

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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_CALL):
                if self._trades:
                    await asyncio.wait(self._trades)
                if self._jobs.ended:
                    await self._exchange_for(self._jobs.take(len(self._jobs.ended)), 0)


async def _within(seconds: float | None, event: asyncio.Event) -> None:
    """Wait for the event, at most so long (`None`: without limit)."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
