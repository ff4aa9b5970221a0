"""What the driver asks of each system. Only the standard library is used here.

A peer's file runs in the peer's own environment, in two kinds of process: the one that enqueues
(`benchmarks.produce`) and the ones that work (`benchmarks.work`). The servers' addresses are in
the environment: `VALKEY` and `DATABASE`.
"""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, NoReturn

Arguments = tuple[int, str, int]
Kind = Literal["async", "sync"]

VALKEY: Final = os.environ.get("BENCHMARK_VALKEY", "")
"""`redis://…`; empty where the system needs none."""

DATABASE: Final = os.environ.get("BENCHMARK_DATABASE", "")
"""`postgresql://…`, or `sqlite:///…` for Ferryman; empty where the system needs none."""

VARIANT: Final = os.environ.get("BENCHMARK_VARIANT", "")
"""Which of its ways a system that is entered more than once is to use."""

CALLERS: Final = 100
"""Callers at a time of a concurrent enqueue."""


@dataclass(frozen=True)
class Work:
    """How a worker is started.

    Attributes:
        kind: `async` or `sync`: the functions that the jobs of this run call.
        concurrency: jobs at a time of one process; 0 is: what suits the system best for jobs
            that take no time.
        processes: worker processes.
        burns: the jobs are those of `Peer.burn`, and `processes` of them are to run at a time.
    """

    kind: Kind = "async"
    concurrency: int = 0
    processes: int = 1
    burns: bool = False


class Peer:
    """A system under measurement. A method that it has no way for is left as it is here."""

    settings: ClassVar[str] = ""
    """What was set, and why, in one line for the table of settings."""

    kinds: ClassVar[tuple[Kind, ...]] = ("async",)
    """The kinds of functions that it runs, the faster one first."""

    own_processes: ClassVar[bool] = False
    """Whether `work` starts `processes` itself; else the benchmark starts so many workers."""

    most_concurrency: ClassVar[int] = 1000
    """Jobs that one worker can run at a time; 1 is: as many workers as jobs."""

    burn: ClassVar[str] = "burn_sync"
    """The task that takes CPU, in a process of its own where the system can."""

    bulk_size: ClassVar[int] = 1000
    """Jobs of one call of `enqueue_many` that suit it."""

    async def prepare(self) -> None:
        """Make the tables that it needs, once for each empty store."""

    async def open(self) -> None:
        """Get ready to enqueue."""

    async def close(self) -> None:
        """Let go of what `open` took."""

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        """Enqueue one job, from asynchronous code."""
        raise NotImplementedError

    def enqueue_now(self, task: str, arguments: Arguments) -> Any:
        """Enqueue one job, from synchronous code."""
        raise NotImplementedError

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        """Enqueue many jobs in the fastest way that it has."""
        raise NotImplementedError

    def work(self, work: Work) -> None:
        """Run a worker until SIGTERM; the process may become another program."""
        raise NotImplementedError

    @classmethod
    def has(cls, method: str) -> bool:
        """Whether the system has a way to do this."""
        return getattr(cls, method) is not getattr(Peer, method)


def become(*command: str) -> NoReturn:
    """Replace this process by another program of the same environment."""
    from sys import executable

    os.execv(executable, [executable, *command])  # noqa: S606 - the command is the peer file's


def run(main: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine on uvloop, where the environment has it."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
