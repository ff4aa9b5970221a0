"""The application whose jobs run while faults are injected; its store is named by the environment.

Each job writes down that it starts, has one effect in the sink outside, writes down how it leaves,
and returns its token. What a fault interrupts has a start, and no leave.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, Final, Literal

from chaos import actor, plants
from chaos.history import Fault, Leave, Start, now
from chaos.sink import effect
from ferryman import Ferryman, Permanent, Retry, Snooze, current_job
from ferryman.client.context import JobContext
from ferryman.domain.errors import StoreError

app = Ferryman()

if actor.role() == "child":
    plants.install()  # it has no store to put instruments round: much that it need not load
elif actor.acts():
    from chaos import instruments

    instruments.install()

TWICE = Retry(max_attempts=2, delays=(0.2,))

CROWD: Final = 200
"""Calls to a store at a time, which has fewer connections."""

How = Literal["done", "error", "fail", "again", "kill"]


class Run:
    """A delivery that runs here.

    Attributes:
        left: whether it was written down how it leaves.
    """

    def __init__(self, job: JobContext) -> None:
        self.job = job
        self.left = False

    def effect(self) -> int:
        """Have the one effect; returns the token."""
        effect(self.job.id, self.job.token)
        return self.job.token

    def leave(self, how: How, wait: float = 0.0) -> None:
        """Write down how it leaves, and for how long it is not to run again."""
        self.left = True
        line = Leave(t=now(), job=self.job.id, token=self.job.token, how=how, wait=wait)
        actor.recorder().add(line)

    def die(self, number: int) -> None:
        """Kill this process, as a segmentation fault would."""
        self.leave("kill")
        fault = Fault(
            t=now(),
            number=actor.recorder().number(),
            name="poison job",
            scope="process",
            targets=(os.getpid(),),
            charges=True,
        )
        actor.recorder().add(fault)
        os.kill(os.getpid(), number)


@contextlib.contextmanager
def told() -> Iterator[Run]:
    """Write down the start of this delivery, and how it leaves unless something interrupts it."""
    job = current_job()
    start = Start(
        t=now(),
        job=job.id,
        token=job.token,
        attempt=job.attempt,
        pid=os.getpid(),
        parent=os.getppid(),
    )
    actor.recorder().add(start)
    run = Run(job)
    try:
        yield run
    except Exception as error:
        if isinstance(error, Retry):
            run.leave("error", error.delay or 0.0)
        else:
            run.leave("fail")
        raise
    if not run.left:
        run.leave("done")


@app.task
async def work(seconds: float) -> int:
    with told() as run:
        await asyncio.sleep(seconds)
        return run.effect()


@app.task
def work_in_thread(seconds: float) -> int:
    with told() as run:
        time.sleep(seconds)
        return run.effect()


@app.task(isolation="process")
def work_isolated(seconds: float) -> int:
    with told() as run:
        time.sleep(seconds)
        return run.effect()


@app.task
async def report(seconds: float) -> int:
    """Tells its progress, which holds its token, in ten steps."""
    with told() as run:
        for step in range(1, 11):
            await asyncio.sleep(seconds / 10)
            run.job.progress(step, 10, str(run.job.token))
        return run.effect()


@app.task(retry=TWICE)
async def fail_once(seconds: float) -> int:
    with told() as run:
        await asyncio.sleep(seconds)
        if run.job.attempt == 1:
            raise Retry("the first attempt always fails", delay=0.2)
        return run.effect()


@app.task
async def fail(seconds: float) -> int:
    """Fails for good, until someone retries it by hand."""
    with told() as run:
        await asyncio.sleep(seconds)
        if run.job.checkpoint != "failed":
            run.job.save("failed")
            raise Permanent("it was not retried yet")
        return run.effect()


@app.task
async def snooze(seconds: float) -> Any:
    """Asks once to be run again later."""
    with told() as run:
        if run.job.checkpoint != "snoozed":
            run.job.save("snoozed")
            run.leave("again", 0.2)
            return Snooze(0.2)
        await asyncio.sleep(seconds)
        return run.effect()


# -- those that do harm --------------------------------------------------------------------------


@app.task
async def poison(seconds: float) -> None:
    """Kills the process that runs it, each time."""
    with told() as run:
        await asyncio.sleep(seconds)
        run.die(signal.SIGKILL)


@app.task(isolation="process")
def crash(seconds: float) -> None:
    """A segmentation fault in a child of its own, each time."""
    with told() as run:
        time.sleep(seconds)
        run.die(signal.SIGSEGV)


@app.task(isolation="process", memory_limit="150 MiB", timeout=60)
def eat(seconds: float) -> int:
    """Uses more memory than it may."""
    with told() as run:
        run.leave("fail")
        eaten = bytearray(os.urandom(1024)) * 1024 * 400
        time.sleep(seconds)
        return len(eaten)


@app.task
async def block(seconds: float) -> int:
    """Blocks the loop of the worker process."""
    with told() as run:
        time.sleep(seconds)  # noqa: ASYNC251 - this is the fault
        return run.effect()


@app.task
async def crowd(seconds: float) -> int:
    """Keeps all connections to the store, and all threads of the loop, in use."""
    with told() as run:
        ends = time.monotonic() + seconds

        async def ask() -> None:
            while time.monotonic() < ends:
                with contextlib.suppress(StoreError):
                    await app.jobs.aget(run.job.id)

        async def keep_thread() -> None:
            while time.monotonic() < ends:
                await asyncio.to_thread(time.sleep, 0.2)

        await asyncio.gather(*(ask() for _ in range(CROWD)), *(keep_thread() for _ in range(64)))
        return run.effect()


@app.task
def hold(seconds: float) -> int:
    """Holds the interpreter lock: a function in C that does not let go of it."""
    with told() as run:
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
        return run.effect()
