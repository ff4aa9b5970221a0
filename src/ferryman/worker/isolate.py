"""Isolated jobs, seen from the worker process: a pool of supervised children.

Not a `ProcessPoolExecutor`: there, one child that dies breaks the jobs of all others.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterator
from typing import Any, Final

import psutil

from ferryman.client.context import Reporter
from ferryman.client.task import Task
from ferryman.domain.errors import FerrymanError
from ferryman.domain.outcomes import HandedBack, Outcome, Parked, ProcessLost
from ferryman.worker import proctree
from ferryman.worker.attempt import Attempt, Stop
from ferryman.worker.messages import (
    Began,
    Broken,
    CancelJob,
    Ended,
    FromChild,
    LoadResources,
    Quit,
    Ready,
    Report,
    RunJob,
    Terminate,
)
from ferryman.worker.options import WorkerOptions
from ferryman.worker.perform import time_limit
from ferryman.worker.spawning import MARK, Program, how_it_ended

logger = logging.getLogger("ferryman.worker")

TERM_PATIENCE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""
LEAVING_PATIENCE: Final = 0.3
"""The same when the worker leaves."""
SAMPLE: Final = 0.2
"""Seconds between two looks at the memory of limited jobs."""


class ChildBroken(FerrymanError):
    """A child could not import the application, or load what its tasks use."""


class Child:
    """One child process, which runs one job at a time.

    Attributes:
        tasks: the names of those that it has run, whose resources are loaded in it.
    """

    def __init__(self, program: Program, cancel_grace: float) -> None:
        self._program = program
        self._cancel_grace = cancel_grace
        self._stopping: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.pid = program.pid
        self.tasks: set[str] = set()

    @classmethod
    async def start(cls, app: str, options: WorkerOptions) -> "Child":
        """A child that has imported the application.

        Raises:
            ChildBroken: it could not.
        """
        program = await Program.start(
            "ferryman.worker.child", app, options, f"{MARK}CHILD", FromChild
        )
        child = cls(program, options.cancel_grace)
        try:
            await child._expect_ready("start")
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def alive(self) -> bool:
        """Whether it can be given another job."""
        return self._stopping is None and not self._program.exit.done()

    async def load(self, resources: tuple[str, ...]) -> None:
        """Have it load these resources.

        Raises:
            ChildBroken: one of them could not be loaded.
        """
        self._program.send(LoadResources(resources))
        await self._expect_ready("load its resources")

    async def run(self, attempt: Attempt, limit: float | None, reporter: Reporter) -> Outcome:
        """Run a delivery to its outcome, or to the end of the process."""
        began = time.time()
        self.tasks.add(attempt.delivery.task)
        self._program.send(RunJob(attempt.delivery))
        with attempt.interruptible(self._interrupt):
            outcome = await self._listen(attempt, limit, reporter)
        if self._timer is not None:
            self._timer.cancel()
        if outcome is None or self._stopping is not None:
            await self.kill()
        elif attempt.stop is not None:
            await self._end_started_since(began)
        return outcome or ProcessLost(f"its child process {how_it_ended(await self._program.exit)}")

    async def quit(self, patience: float) -> None:
        """Let it tear its resources down and exit; it is killed after `patience` seconds."""
        self._program.send(Quit())
        await asyncio.wait([self._program.exit], timeout=patience)
        await self.kill()

    async def kill(self) -> None:
        """End it and all that it started, at once."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(0))
        await self._stopping
        await self._program.close()

    async def _expect_ready(self, purpose: str) -> None:
        match await self._program.receive():
            case Ready():
                return
            case Broken(error):
                raise ChildBroken(f"a child process could not {purpose}: {error}")
            case _:
                ended = how_it_ended(await self._program.exit)
                raise ChildBroken(f"a child process could not {purpose}: it {ended}")

    async def _listen(
        self, attempt: Attempt, limit: float | None, reporter: Reporter
    ) -> Outcome | None:
        outcome = None
        while (message := await self._program.receive()) is not None:
            match message:
                case Began():
                    attempt.limit_time(limit)
                case Report(progress, checkpoint, lines):
                    reporter.report(attempt.delivery, progress, checkpoint, lines)
                case Ended():
                    outcome = message.outcome
                    # One that is being stopped exits after this.
                    if self._stopping is None:
                        return outcome
        return outcome

    def _interrupt(self, why: Stop) -> None:
        match why:
            case Stop.CANCEL:
                self._program.send(CancelJob())
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._cancel_grace, self._begin_stop, TERM_PATIENCE)
            case Stop.TIMEOUT:
                self._begin_stop(TERM_PATIENCE)
            case Stop.MEMORY:
                self._begin_stop(0)
            case Stop.HAND_BACK:
                self._begin_stop(LEAVING_PATIENCE)

    def _begin_stop(self, patience: float) -> None:
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(patience))

    async def _stop(self, patience: float) -> None:
        """SIGTERM to the group and to what left it, then SIGKILL."""
        if patience:
            self._program.send(Terminate())
            kin = proctree.family(self.pid, self._program.mark)
            self._program.signal_group(signal.SIGTERM)
            proctree.send(kin, signal.SIGTERM)
            await self._wait_until_gone(kin, patience)
        kin = proctree.family(self.pid, self._program.mark)
        self._program.signal_group(signal.SIGKILL)
        proctree.send(kin, signal.SIGKILL)
        await self._wait_until_gone(kin, TERM_PATIENCE)

    async def _wait_until_gone(self, kin: list[psutil.Process], patience: float) -> None:
        deadline = time.monotonic() + patience
        await asyncio.wait([self._program.exit], timeout=patience)
        await proctree.all_gone(kin, max(0.0, deadline - time.monotonic()))

    async def _end_started_since(self, began: float) -> None:
        """What a cancelled job that ended by itself has left running; resources' own stay."""
        kin = proctree.family(self.pid, self._program.mark)
        kin = [process for process in kin if process.create_time() >= began - 0.05]
        proctree.send(kin, signal.SIGTERM)
        if not await proctree.all_gone(kin, TERM_PATIENCE):
            proctree.send(kin, signal.SIGKILL)


class ChildPool:
    """The children of one worker: at most one for each slot, started when first needed."""

    def __init__(self, app: str, options: WorkerOptions, reporter: Reporter) -> None:
        self._app = app
        self._options = options
        self._reporter = reporter
        self._idle: list[Child] = []
        self._children = 0
        self._watched: dict[int, tuple[Attempt, int]] = {}
        self._watching: asyncio.Task[None] | None = None

    async def load(self, resources: tuple[str, ...]) -> None:
        """Start all children and have each load these resources.

        Raises:
            ChildBroken: one of them could not.
        """
        starts = [self._start_loaded(resources) for _ in range(self._options.concurrency)]
        await asyncio.gather(*starts)

    async def run(self, attempt: Attempt, task: Task[..., Any]) -> Outcome:
        """The outcome of the delivery, whatever becomes of the child."""
        try:
            child = await self._take(attempt.delivery.task)
        except (ChildBroken, OSError) as error:
            logger.error("job %s is parked: %s", attempt.delivery.job_id, error)
            return Parked(str(error))
        try:
            if attempt.stop is not None:
                return HandedBack()  # while the child started; the attempt knows what it means
            limit = time_limit(task, attempt.delivery)
            with self._memory_watched(child, attempt, task.policy.memory_limit):
                return await child.run(attempt, limit, self._reporter)
        finally:
            self._give_back(child)

    async def close(self, patience: float) -> None:
        """Let the idle children tear down and exit, within `patience` seconds."""
        if self._watching is not None:
            self._watching.cancel()
        children, self._idle = self._idle, []
        await asyncio.gather(*(child.quit(patience) for child in children))

    async def _take(self, task: str) -> Child:
        """One that has run the task before, else a new one, else any."""
        self._drop_dead()
        familiar = [child for child in self._idle if task in child.tasks]
        if familiar or (self._idle and self._children >= self._options.concurrency):
            child = (familiar or self._idle)[-1]
            self._idle.remove(child)
            return child
        return await self._start()

    async def _start(self) -> Child:
        self._children += 1
        try:
            return await Child.start(self._app, self._options)
        except BaseException:
            self._children -= 1
            raise

    async def _start_loaded(self, resources: tuple[str, ...]) -> None:
        child = await self._start()
        self._give_back(child)
        await child.load(resources)

    def _give_back(self, child: Child) -> None:
        if child.alive:
            self._idle.append(child)
        else:
            self._children -= 1

    def _drop_dead(self) -> None:
        dead = [child for child in self._idle if not child.alive]
        self._children -= len(dead)
        self._idle = [child for child in self._idle if child.alive]

    @contextlib.contextmanager
    def _memory_watched(self, child: Child, attempt: Attempt, limit: int | None) -> Iterator[None]:
        if limit is None:
            yield
            return
        self._watched[child.pid] = (attempt, limit)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch_memory())
        try:
            yield
        finally:
            del self._watched[child.pid]

    async def _watch_memory(self) -> None:
        while self._watched:
            used = await asyncio.to_thread(proctree.memory_of, list(self._watched))
            for pid, amount in used.items():
                attempt, limit = self._watched.get(pid, (None, amount))
                if attempt is not None and amount > limit:
                    said = f"it used {amount / 2**20:,.0f} MiB; its limit is {limit / 2**20:,.0f}"
                    attempt.request(Stop.MEMORY, said)
            await asyncio.sleep(SAMPLE)
