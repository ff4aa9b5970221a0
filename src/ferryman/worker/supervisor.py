"""The supervisor: starts worker processes, keeps their leases, and holds no user code."""

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import psutil

from ferryman.domain.errors import ConfigError, StoreError, StoreUnavailable
from ferryman.settings import Settings
from ferryman.worker import logs, proctree
from ferryman.worker.keeper import Keeper
from ferryman.worker.keeping import Keeping, default_name, new_identity
from ferryman.worker.messages import Why
from ferryman.worker.options import WorkerOptions
from ferryman.worker.outage import Outage
from ferryman.worker.spawning import Program, adopt_orphans
from ferryman.worker.supervised import Exit, SupervisedProcess

logger = logging.getLogger("ferryman.supervisor")

T = TypeVar("T")

LONGEST_REST: Final = 30.0
"""Seconds before a process that keeps dying is started again, at most."""
PROVEN_AFTER: Final = 10.0
"""Seconds of life after which an earlier death does not count any more."""
REAP_DELAY: Final = 0.05
"""Seconds over which several deaths are dealt with together."""


def run(app: str, options: WorkerOptions) -> int:
    """Run a worker for the application `app` (`module:attribute`) until it is told to stop.

    Blocks the calling thread, which must be the main one, and takes SIGTERM and SIGINT.

    Returns:
        the exit code: 0 after a stop or a finished burst, 1 if the application cannot be run.
    """
    name = options.name or default_name(os.getpid())
    logs.set_up(options, name)
    # Not uvloop: only the loop of asyncio lets SIGCHLD be handled, and nothing here is hot.
    return asyncio.run(Supervisor(app, msgspec.structs.replace(options, name=name)).run())


class Supervisor:
    """Keeps the asked number of worker processes running until it is told to stop."""

    def __init__(self, app: str, options: WorkerOptions) -> None:
        self._app = app
        self._options = options
        self._processes: set[SupervisedProcess] = set()
        self._releases: set[asyncio.Task[None]] = set()
        self._keeping: Keeping | None = None
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._next_change = asyncio.Event()
        self._proven = False
        self._reaping = False
        self._code = 0
        # Servers that whoever runs this has started, for example: not this supervisor's to reap.
        self._foreign = {process.pid for process in psutil.Process().children()}

    async def run(self) -> int:
        """Run until stopped, or until a burst is over; returns the exit code."""
        adopt_orphans()
        self._handle_signals()
        numbers = range(1, self._options.processes + 1)
        logger.info("starts %d worker processes for %s", len(numbers), self._app)
        watching = asyncio.create_task(self._watch_sources()) if self._options.reload else None
        try:
            await asyncio.gather(*(self._keep_running(number) for number in numbers))
            await self._finish_releases()
        finally:
            if watching is not None:
                watching.cancel()
            if self._keeping is not None:
                await self._keeping.close()
        logger.info("has stopped")
        return self._code

    def stop(self) -> None:
        """Stop gracefully; asked again, at once."""
        again = self._stopping.is_set()
        grace = 0.0 if again else self._options.grace
        logger.info("stops; running jobs have %g s to end", grace)
        self._begin_stop(grace)

    async def _finish_releases(self) -> None:
        """With the store out of reach the leases end by themselves, and reapers do it."""
        if self._releases and self._keeping is not None:
            await asyncio.wait(self._releases, timeout=self._keeping.lease)

    # -- one process after the other --------------------------------------------------------------

    async def _keep_running(self, number: int) -> None:
        options = msgspec.structs.replace(self._options, name=f"{self._options.name}.{number}")
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            change = self._next_change
            ended = await self._live(options, change)
            if self._stopping.is_set() or ended is None or ended.why is Why.DRAINED:
                return
            if ended.why in (Why.STOPPED, Why.RECYCLED):
                logger.info("process %s has %s and is replaced", options.name, ended.why)
                deaths = 0
            elif not self._proven and not self._options.reload:
                self._give_up(ended)
            else:
                deaths = 1 if time.monotonic() - began > PROVEN_AFTER else deaths + 1
                await self._rest(f"process {options.name}", ended, deaths, change)

    async def _live(self, options: WorkerOptions, change: asyncio.Event) -> Exit | None:
        """One process from its start to its end; `None` if it was stopped before it could work."""
        process = await SupervisedProcess.start(self._app, options, self._prove)
        hello = await self._unless_stopped(process.greeting())
        if self._stopping.is_set():
            await process.dismiss()
            return None
        if hello is None:
            return await process.ended()
        info = new_identity(
            options.name or "", process.pid, hello.queues, self._options.concurrency
        )
        keeper = await self._unless_stopped(self._keeper(hello.settings))
        if keeper is None or not await self._unless_stopped(keeper.enroll(info, process)):
            await process.dismiss()
            return None
        self._processes.add(process)
        process.go(info)
        if self._stopping.is_set() or change.is_set():  # while it got ready
            process.stop(0.0)
        logger.info("process %s (%d) serves %s", info.name, info.pid, ", ".join(info.queues))
        ended = await process.ended()
        self._processes.discard(process)
        # Beside the start of the next process, so that neither waits for the other.
        release = keeper.release(info, kill=ended.crashed, spare=ended.spare)
        task = asyncio.create_task(release)
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)
        return ended

    async def _keeper(self, settings: Settings) -> Keeper | None:
        """The keeper of all leases, over the store of the first process that said what it is."""
        outage = Outage(logger, "opening the store")
        async with self._opening:
            while self._keeping is None:
                try:
                    self._keeping = await Keeping(settings).open()
                except StoreUnavailable as error:
                    await asyncio.sleep(outage.failed(error))
                except (StoreError, ConfigError) as error:
                    self._fail(str(error))
                    return None
        outage.passed()
        return self._keeping.keeper

    async def _unless_stopped(self, call: Coroutine[Any, Any, T]) -> T | None:
        """What `call` returns; `None` if the supervisor is stopped first."""
        task = asyncio.create_task(call)
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None

    def _prove(self) -> None:
        """The application can be run: what goes wrong from now on may pass."""
        self._proven = True

    def _give_up(self, ended: Exit) -> None:
        self._fail(ended.broken or f"its process {ended.said} before it could take a job")

    def _fail(self, said: str) -> None:
        if not self._code:
            logger.error("cannot run %s: %s", self._app, said)
        self._code = 1
        self._begin_stop(0.0)

    async def _rest(self, process: str, ended: Exit, deaths: int, change: asyncio.Event) -> None:
        """Before the next start: nothing at first, then longer and longer."""
        said = ended.broken or ended.said
        if ended.broken and self._options.reload:
            logger.error("%s: %s; waits for a change of the source", process, said)
            await self._unless_stopped(change.wait())
            return
        wait = min(LONGEST_REST, 0.5 * 2.0 ** min(deaths - 2, 10)) if deaths > 1 else 0.0
        wait *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        logger.error("%s %s; starts again in %.1f s", process, said, wait)
        await self._unless_stopped(asyncio.sleep(wait))

    # -- from outside ------------------------------------------------------------------------------

    def _begin_stop(self, grace: float) -> None:
        self._stopping.set()
        for process in self._processes:
            process.stop(grace)

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGCHLD, self._reap_soon)

    def _reap_soon(self) -> None:
        if not self._reaping:
            self._reaping = True
            asyncio.get_running_loop().call_later(REAP_DELAY, self._reap)

    def _reap(self) -> None:
        self._reaping = False
        proctree.reap_orphans(spare=self._foreign | Program.running)

    async def _watch_sources(self) -> None:
        import watchfiles

        async for _ in watchfiles.awatch(Path.cwd(), watch_filter=watchfiles.PythonFilter()):
            logger.info("the source has changed: processes are replaced")
            self._next_change.set()
            self._next_change = asyncio.Event()
            for process in self._processes:
                process.stop(self._options.grace)
