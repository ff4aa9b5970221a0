"""The worker inside a host process: for tests, and for applications that need no other process."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from ferryman.client.client import Client
from ferryman.client.portal import Portal
from ferryman.domain.errors import ConfigError, FerrymanError, LeaseLost
from ferryman.domain.job import WorkerInfo
from ferryman.worker.application import locate_app
from ferryman.worker.keeping import Keeping, default_name, new_identity
from ferryman.worker.loop import Worker
from ferryman.worker.options import WorkerOptions
from ferryman.worker.process import served_queues

logger = logging.getLogger("ferryman.worker")

T = TypeVar("T")

OVERTIME: Final = 1.0
"""Seconds over the grace after which leaving waits no more."""
POLL: Final = 0.05


class EmbeddedWorker:
    """Runs jobs on the caller's event loop: `async with app.worker() as worker:`.

    Its lease is renewed by a thread, so a job may block the loop. A job that holds the
    interpreter lock for longer than the lease loses it, as does a host that is suspended: jobs
    that do such things need `ferryman worker`, whose leases are kept by another process.
    """

    def __init__(self, client: Client, options: WorkerOptions) -> None:
        self._client = client
        self._options = options
        self._app = locate_app(client)
        self._portal = Portal()
        self._keeping: Keeping | None = None
        self._current: _Tenure | None = None
        self._serving: asyncio.Task[None] | None = None
        self._stopping = False

    async def __aenter__(self) -> Self:
        """Register, and begin to claim.

        Raises:
            ConfigError: a task is isolated, and no child process could import the application.
            StoreUnavailable, StoreUnsafe: the store cannot be used.
            ResourceBroken: one that was to be loaded before the first job.
        """
        self._check_isolated()
        try:
            self._keeping = await self._beside(Keeping(self._client.settings).open)
            self._current = await self._take_up()
            if self._options.preload:
                await self._current.worker.load()
        except BaseException:
            if self._current is not None:
                await self._end(self._current)
            await self._leave()
            raise
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        """Stop: running jobs have the grace to end, what then still runs is handed back."""
        self._stopping = True
        try:
            await self._stop()
        finally:
            await self._leave()

    async def drain(self) -> None:
        """Return when nothing is queued, due or running here; jobs due later are left.

        Raises:
            FerrymanError: the worker has stopped.
        """
        while True:
            if self._serving is None or self._serving.done() or self._current is None:
                raise FerrymanError("the embedded worker does not run")
            if await self._current.worker.drain():
                return
            await asyncio.sleep(POLL)

    def _check_isolated(self) -> None:
        isolated = [task.name for task in self._client.tasks.values() if task.policy.isolation]
        if isolated and self._app is None:
            raise ConfigError(
                f"the task {isolated[0]!r} is isolated, and the child that runs it must import "
                "the application: keep app = Ferryman() at the top level of a module"
            )

    async def _serve(self) -> None:
        while self._current is not None and await self._work(self._current):
            self._current = await self._take_up()

    async def _work(self, tenure: "_Tenure") -> bool:
        """Run jobs under one lease; whether to go on under another."""
        try:
            await tenure.worker.run()
        except LeaseLost:
            logger.error("the embedded worker lost its lease, and goes on under a new one")
        finally:
            await tenure.worker.abandon()
            await self._end(tenure)
        return not self._stopping

    async def _take_up(self) -> "_Tenure":
        queues = served_queues(self._client, self._options)
        name = self._options.name or default_name(os.getpid())
        info = new_identity(name, os.getpid(), queues, self._options.concurrency)
        tenure = _Tenure(
            info,
            Worker(
                self._client,
                await self._client.store(),
                info,
                self._options,
                _NobodyElse(),
                self._app,
            ),
        )
        await self._beside(lambda: self._kept.keeper.enroll(info, tenure))
        return tenure

    async def _end(self, tenure: "_Tenure") -> None:
        await tenure.worker.close()
        await self._beside(lambda: self._release(tenure.info))

    async def _release(self, info: WorkerInfo) -> None:
        with contextlib.suppress(TimeoutError):  # the lease is over then, and reapers do it
            async with asyncio.timeout(self._kept.lease):
                await self._kept.keeper.release(info, kill=False)

    async def _stop(self) -> None:
        if self._current is None or self._serving is None:
            return
        self._current.worker.stop(self._options.grace)
        _, late = await asyncio.wait([self._serving], timeout=self._options.grace + OVERTIME)
        if late:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        else:
            self._serving.result()

    async def _leave(self) -> None:
        if self._keeping is not None:
            await self._beside(self._keeping.close)
        self._portal.close()

    @property
    def _kept(self) -> Keeping:
        assert self._keeping is not None  # noqa: S101 - it is open while a worker is
        return self._keeping

    async def _beside(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Have it done on the keeping's own loop, in its own thread."""

        async def begin() -> T:
            return await call()

        return await asyncio.to_thread(self._portal.run, begin())


class _Tenure:
    """One worker under one lease; hears from the keeper's thread."""

    def __init__(self, info: WorkerInfo, worker: Worker) -> None:
        self.info = info
        self.worker = worker
        self._loop = asyncio.get_running_loop()

    @property
    def claimed_at(self) -> float | None:
        return self.worker.claimed_at

    def cancel(self, jobs: tuple[tuple[str, int], ...]) -> None:
        self._tell(lambda: self.worker.cancel(jobs))

    def lease_lost(self) -> None:
        self._tell(self.worker.lose_lease)

    def _tell(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the host's loop is closed
            self._loop.call_soon_threadsafe(call)


class _NobodyElse:
    """If this process dies, nobody is left who could ask what ran in its children."""

    def child_began(self, job_id: str) -> None:
        pass

    def child_ended(self, job_id: str) -> None:
        pass

    def claimed(self) -> None:
        pass
