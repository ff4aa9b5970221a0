"""Where a job's time goes, in microseconds of processor time: each stage in the worker and in the
caller, and the server's share. The jobs are coroutines that do nothing, so all is overhead.

    python -m benchmarks.profile_job [--jobs 20000] [--concurrency 100]

A stage's figure is its own: what another stage does inside of it is that one's. What no stage
covers is the event loop, the driver and the system calls of the connection.
"""

import argparse
import asyncio
import functools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

import hiredis
from redis import Redis
from tests import servers

from benchmarks import bodies
from ferryman import Ferryman, Task, codec
from ferryman.client.portal import new_event_loop
from ferryman.stores.valkey import calls, producers
from ferryman.worker.executor import Executor
from ferryman.worker.keeping import new_identity
from ferryman.worker.loop import Worker
from ferryman.worker.options import WorkerOptions
from ferryman.worker.running import RunningJobs


def _receipts(count: int) -> list[tuple[int, str, int]]:
    return [bodies.arguments(number) for number in range(count)]


Work = Callable[[], Awaitable[None]]
Places = Mapping[str, Sequence[tuple[Any, str]]]
"""The functions that make up each stage, by their owners and names."""

REST: Final = "event loop, driver, system calls"

WORKER: Final[Places] = {
    "read deliveries": [(calls, "read_delivery")],
    "attempt, context, task of the loop": [(RunningJobs, "start")],
    "decode and check arguments": [(codec.Signature, "decode")],
    "executor": [(Executor, "execute")],
    "encode the result": [(codec, "encode_result")],
    "outcome to ending": [(RunningJobs, "_conclude")],
    "pack endings": [(calls, "_endings"), (hiredis, "pack_command")],
}
CALLER: Final[Places] = {
    "encode and check arguments": [(codec.Signature, "encode")],
    "options and record": [(Task, "new_job")],
    "pack the job": [
        (calls, "pack_new"),
        (producers, "pack_new"),
        (hiredis, "pack_command"),
    ],
    "handle": [(Task, "_handles")],
}


class Stages:
    """A clock of the running thread's processor time, which counts for one stage at a time."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._now = REST
        self._since = time.thread_time_ns()

    def enter(self, stage: str) -> str:
        """Count for this stage from now on; the one before is given back."""
        at = time.thread_time_ns()
        self.spent[self._now] += at - self._since
        before, self._now, self._since = self._now, stage, time.thread_time_ns()
        return before

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, or the coroutine function that never waits, as this stage."""
        if asyncio.iscoroutinefunction(function):

            async def coroutine(*args: Any, **kwargs: Any) -> Any:
                before = self.enter(stage)
                try:
                    return await function(*args, **kwargs)
                finally:
                    self.enter(before)

            return functools.wraps(function)(coroutine)

        def call(*args: Any, **kwargs: Any) -> Any:
            before = self.enter(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self.enter(before)

        return functools.wraps(function)(call)

    @contextmanager
    def on(self, stages: Places) -> Iterator[None]:
        """Measure these stages for as long as this lasts."""
        patches = [
            mock.patch.object(owner, name, self.around(stage, getattr(owner, name)))
            for stage, places in stages.items()
            for owner, name in places
        ]
        for patch in patches:
            patch.start()
        self.spent.clear()
        self._since = time.thread_time_ns()
        try:
            yield
        finally:
            self.enter(REST)
            for patch in patches:
                patch.stop()


class Nobody:
    """A host that does not care which jobs run in children."""

    def child_began(self, job_id: str) -> None:
        """Nothing."""

    def child_ended(self, job_id: str) -> None:
        """Nothing."""

    def claimed(self) -> None:
        """Nothing."""


class Bench:
    """An application, and the server that it uses."""

    def __init__(self, url: str, stages: Stages) -> None:
        self._stages = stages
        self._server: Redis = Redis.from_url(url)
        self._app = Ferryman(valkey_url=url)

        async def read_receipt(number: int, path: str, user: int) -> None:
            """Does nothing."""

        self._task: Task[..., Any] = self._app.task(stages.around("user code", read_receipt))

    async def one_by_one(self, jobs: int) -> None:
        """Enqueue one at a time."""
        for call in _receipts(jobs):
            await self._task.aenqueue(*call)

    async def at_once(self, jobs: int) -> None:
        """Enqueue from 100 callers."""
        for start in range(0, jobs, 100):
            callers = (self._task.aenqueue(*call) for call in _receipts(min(100, jobs - start)))
            await asyncio.gather(*callers)

    async def in_bulk(self, jobs: int) -> None:
        """Enqueue 1,000 at a time."""
        for start in range(0, jobs, 1000):
            await self._task.aenqueue_many(_receipts(min(1000, jobs - start)))

    async def drain(self, concurrency: int) -> None:
        """Run all that is queued."""
        store = await self._app.store()
        info = new_identity("profile", 1, ("default",), concurrency)
        await store.register(info, 600)
        options = WorkerOptions(concurrency=concurrency, burst=True)
        worker = Worker(self._app, store, info, options, Nobody(), None)
        await worker.run()
        await worker.close()

    async def profile(self, what: str, stages: Places, jobs: int, work: Work, before: Work) -> None:
        """Do the work twice, with clocks in it and without, and print a table of it."""
        await before()
        with self._stages.on(stages):
            await work()
        await before()
        served, used, began = self._served(), time.process_time_ns(), time.monotonic()
        await work()
        seconds = time.monotonic() - began
        used = time.process_time_ns() - used
        print(f"\n| {what} | µs a job |\n|---|---|")
        # The clocks cost time: they give the shares, the other run gives the whole.
        scale = used / 1000 / jobs / sum(self._stages.spent.values())
        for stage, nanoseconds in self._stages.spent.most_common():
            print(f"| {stage} | {nanoseconds * scale:.1f} |")
        print(f"| **in this process** | **{used / 1000 / jobs:.1f}** |")
        print(f"| **in scripts on the server** | **{(self._served() - served) / jobs:.1f}** |")
        print(f"\n{jobs / seconds:,.0f} jobs/s, {seconds / jobs * 1e6:.1f} µs on the wall's clock")

    def _served(self) -> int:
        """Microseconds that the server has spent in scripts."""
        return int(self._server.info("commandstats").get("cmdstat_evalsha", {}).get("usec", 0))

    async def close(self) -> None:
        """Let go of the connections."""
        self._server.close()
        await self._app.aclose()


async def main(url: str, jobs: int, concurrency: int) -> None:
    """The worker, then the ways to enqueue."""
    bench = Bench(url, Stages())

    async def fill() -> None:
        await bench.in_bulk(jobs)

    async def empty() -> None:
        await bench.drain(100)

    await fill()
    await empty()  # what is done once, at first, is done
    worker = functools.partial(bench.drain, concurrency)
    await bench.profile(f"worker, concurrency {concurrency}", WORKER, jobs, worker, fill)
    await bench.profile(
        "worker, concurrency 1", WORKER, jobs, functools.partial(bench.drain, 1), fill
    )
    for what, way in (
        ("enqueue one at a time", bench.one_by_one),
        ("enqueue 100 at once", bench.at_once),
        ("enqueue 1,000 in bulk", bench.in_bulk),
    ):
        await bench.profile(what, CALLER, jobs, functools.partial(way, jobs), empty)
    await bench.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=100)
    given = parser.parse_args()
    logging.getLogger("ferryman").setLevel(logging.ERROR)
    with servers.valkey() as server, asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main(server, given.jobs, given.concurrency))
