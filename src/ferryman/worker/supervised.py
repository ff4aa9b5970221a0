"""A worker process, as its supervisor sees it."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from ferryman.domain.job import WorkerInfo
from ferryman.worker import proctree
from ferryman.worker.messages import (
    Broken,
    CancelJobs,
    ChildBegan,
    ChildEnded,
    Claimed,
    FromProcess,
    Go,
    Hello,
    LeaseGone,
    Leaving,
    Ready,
    Stop,
    Why,
)
from ferryman.worker.options import WorkerOptions
from ferryman.worker.spawning import MARK, Program, how_it_ended

OVERTIME: Final = 0.5
"""Seconds over the grace after which a process is killed: its loop may be blocked by a job."""
EXIT_PATIENCE: Final = 10.0
"""Seconds that a process that said it leaves may take: exit handlers of user code run then."""


class Exit(NamedTuple):
    """How a worker process came to its end.

    Attributes:
        why: it left of its own accord; `None` is: it died, or was killed.
        broken: what is wrong with the application, if it said so.
        crashed: it died with its jobs, and nobody here wanted it to.
        spare: the ids of the jobs that ran in children then.
        said: its end in words.
    """

    why: Why | None
    broken: str | None
    crashed: bool
    spare: frozenset[str]
    said: str


class SupervisedProcess:
    """Holds a lease (see `keeper.Holder`) for the process that works under it."""

    def __init__(self, program: Program, ready: Callable[[], None]) -> None:
        self._program = program
        self._ready = ready
        self._isolated: set[str] = set()
        self._why: Why | None = None
        self._broken: str | None = None
        self._unwanted = False
        self.pid = program.pid
        self.claimed_at: float | None = None

    @classmethod
    async def start(
        cls, app: str, options: WorkerOptions, ready: Callable[[], None]
    ) -> "SupervisedProcess":
        """Start a process that imports the application; `ready` is called when it can work."""
        program = await Program.start(
            "ferryman.worker.process", app, options, f"{MARK}WORKER", FromProcess
        )
        return cls(program, ready)

    async def greeting(self) -> Hello | None:
        """What it says once the application is imported; `None` if that never comes about."""
        message = await self._program.receive()
        if isinstance(message, Broken):
            self._broken = message.error
        return message if isinstance(message, Hello) else None

    def go(self, info: WorkerInfo) -> None:
        """Let it claim under this identity."""
        self._program.send(Go(info))

    def stop(self, grace: float) -> None:
        """Have it gone in `grace` seconds, one way or the other."""
        self._program.send(Stop(grace))
        asyncio.get_running_loop().call_later(grace + OVERTIME, self.kill)

    async def dismiss(self) -> None:
        """End it before it was let go."""
        self.kill()
        await self._program.exit
        await self._program.close()

    def kill(self) -> None:
        """End it now; its jobs are not to blame."""
        if not self._program.exit.done():
            self._unwanted = True
            self._program.signal_group(signal.SIGKILL)

    def cancel(self, jobs: tuple[tuple[str, int], ...]) -> None:
        """Pass on that these jobs shall stop."""
        self._program.send(CancelJobs(jobs))

    def lease_lost(self) -> None:
        """Its jobs belong to others."""
        self.kill()

    async def ended(self) -> Exit:
        """Follow it to its end, and end what it left behind."""
        while (message := await self._program.receive()) is not None:
            match message:
                case Ready():
                    self._ready()
                case ChildBegan(job_id):
                    self._isolated.add(job_id)
                case ChildEnded(job_id):
                    self._isolated.discard(job_id)
                case Claimed():
                    self.claimed_at = time.monotonic()
                case Leaving() | LeaseGone() | Broken():
                    self._leaves(message)
        code = await self._program.exit
        crashed = not (self._unwanted or self._why or self._broken)
        if crashed or self._unwanted:
            orphans = proctree.family(self.pid, self._program.mark)
            proctree.send(orphans, signal.SIGKILL)
        await self._program.close()
        return Exit(self._why, self._broken, crashed, frozenset(self._isolated), how_it_ended(code))

    def _leaves(self, message: Leaving | LeaseGone | Broken) -> None:
        match message:
            case Leaving(why):
                self._why = why
                asyncio.get_running_loop().call_later(EXIT_PATIENCE, self.kill)
            case LeaseGone():
                self._unwanted = True
                self.kill()
            case Broken(error):
                self._broken = error
