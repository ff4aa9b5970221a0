"""Leases: registered, renewed and given up here, out of reach of the code that jobs run."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Collection
from typing import Final, Protocol

import msgspec
import psutil

from ferryman.domain.job import WorkerInfo
from ferryman.settings import Settings
from ferryman.stores import JobStore
from ferryman.worker.outage import Outage

logger = logging.getLogger("ferryman.keeper")

LONGEST_INTERVAL: Final = 1.0
"""Seconds between two renewals at most: a cancelled job hears of it no later."""


MEASURE_INTERVAL: Final = 5.0
"""Seconds between two looks at a worker's memory."""


class Holder(Protocol):
    """Who works under a lease."""

    @property
    def claimed_at(self) -> float | None:
        """When its latest claim was answered, by this process's monotonic clock."""
        ...

    def cancel(self, jobs: tuple[tuple[str, int], ...]) -> None:
        """Someone asked these jobs (id, token) to stop; may be called again for the same ones."""
        ...

    def lease_lost(self) -> None:
        """The lease is over: stop everything at once. Its jobs belong to others."""
        ...


class _Lease:
    def __init__(self, info: WorkerInfo, holder: Holder) -> None:
        self.info = info
        self.holder = holder
        self.until = 0.0
        self.given_up = asyncio.Event()
        self.renewing: asyncio.Task[None] | None = None
        self.measuring: asyncio.Task[None] | None = None

    async def measure(self) -> None:
        """Keep in mind what the worker's processes hold; beside the renewals, as it takes time."""
        while True:
            memory = await asyncio.to_thread(memory_of, self.info.pid)
            self.info = msgspec.structs.replace(self.info, memory=memory)
            await asyncio.sleep(MEASURE_INTERVAL)

    def told(self, now: float) -> WorkerInfo:
        """What the store is told of the worker."""
        at = self.holder.claimed_at
        return msgspec.structs.replace(self.info, claim_age=None if at is None else now - at)

    def stop(self) -> list[asyncio.Task[None]]:
        """Cancel what goes on beside; the tasks to wait for."""
        tasks = [task for task in (self.renewing, self.measuring) if task is not None]
        for task in tasks:
            task.cancel()
        return tasks


class Keeper:
    """Keeps the leases of any number of workers.

    A lease counts as lost when the store says so, or when by this process's own clock no renewal
    has succeeded for as long as it lasts.
    """

    def __init__(self, store: JobStore, settings: Settings) -> None:
        self._store = store
        self._lease = settings.lease
        self._interval = min(LONGEST_INTERVAL, settings.lease / 5)
        # A call that hangs must leave time for others before the lease is over.
        self._patience = min(settings.store_timeout, settings.lease / 4)
        self._leases: dict[str, _Lease] = {}

    async def enroll(self, info: WorkerInfo, holder: Holder) -> bool:
        """Register a worker, trying until the store can be reached, and renew from then on.

        Returns:
            true, once it holds its lease.
        """
        info = msgspec.structs.replace(info, lease=self._lease)
        lease = _Lease(info, holder)
        outage = Outage(logger, f"registering worker {info.name}")
        while True:
            began = time.monotonic()
            try:
                await self._store.register(info, self._lease)
                break
            except Exception as error:
                await asyncio.sleep(outage.failed(error))
        outage.passed()
        lease.until = began + self._lease
        lease.renewing = asyncio.create_task(self._renew_until_lost(lease))
        lease.measuring = asyncio.create_task(lease.measure())
        self._leases[info.id] = lease
        return True

    async def release(self, info: WorkerInfo, *, kill: bool, spare: Collection[str] = ()) -> None:
        """Give up the lease of a worker that is gone, and send back what it left running.

        It is tried until the store can be reached: a reaper would charge what was left a kill.

        Args:
            kill: it died with its jobs. `spare`: the ids of those that are not to blame.
        """
        lease = self._leases.pop(info.id, None)
        if lease is None or lease.renewing is None:
            return
        # A renewal under way is let finish: cut off, it could leave a transaction behind.
        lease.given_up.set()
        await asyncio.wait([lease.renewing], timeout=self._patience)
        lease.stop()
        outage = Outage(logger, f"handing back the jobs of worker {info.name}")
        while True:
            try:
                moved = await self._store.hand_back(info, kill=kill, spare=spare)
                await self._store.unregister(info)
                break
            except Exception as error:
                await asyncio.sleep(outage.failed(error))
        outage.passed()
        if moved:
            logger.info("worker %s left %d running jobs: handed back", info.name, len(moved))

    async def close(self) -> None:
        """Stop renewing; what was not released is left to the reapers."""
        tasks = [task for lease in self._leases.values() for task in lease.stop()]
        self._leases.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew_until_lost(self, lease: _Lease) -> None:
        outage = Outage(logger, f"renewing the lease of worker {lease.info.name}")
        while await self._renew(lease, outage):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._jittered_interval()):
                    await lease.given_up.wait()
            if lease.given_up.is_set():
                return
        if not lease.given_up.is_set():
            logger.error("worker %s lost its lease; its jobs start elsewhere", lease.info.name)
            lease.holder.lease_lost()

    def _jittered_interval(self) -> float:
        return self._interval * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load

    async def _renew(self, lease: _Lease, outage: Outage) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._patience):
                renewal = await self._store.renew(lease.told(began), self._lease)
        except Exception as error:
            outage.failed(error)
            return time.monotonic() < lease.until
        outage.passed()
        if renewal.live:
            lease.until = began + self._lease
            if renewal.cancels:
                lease.holder.cancel(renewal.cancels)
        return renewal.live


def memory_of(pid: int) -> int | None:
    """Bytes that a process and its descendants hold; `None` if it cannot be told.

    Pages that they share are counted for each of them.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return None
    held = 0
    for one in family:
        with contextlib.suppress(psutil.Error):  # a child that ended meanwhile
            held += one.memory_info().rss
    return held
