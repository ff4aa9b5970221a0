"""The process that enqueues for one system: takes orders as lines of JSON, answers each with one.

    python -m benchmarks.produce PEER

An order names a method of `Producer` and its arguments; the answer is its result. The first line
that it writes says what the system can do.
"""

import asyncio
import importlib
import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import deathbed
from benchmarks.bodies import arguments
from benchmarks.ledger import own
from benchmarks.peers.base import CALLERS, Peer, run

LOOK: float = 0.001
"""Seconds between two looks whether a job has begun; its moment comes from the ledger."""


class Producer:
    """Enqueues for a peer, and says how long it took."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def one(self, task: str, first: int, seconds: float, most: int) -> dict[str, Any]:
        """One job after the other from one asynchronous caller."""
        began, number = time.monotonic(), first
        while number < first + most and time.monotonic() - began < seconds:
            await self._peer.enqueue(task, arguments(number))
            number += 1
        return _made(number - first, time.monotonic() - began)

    async def one_sync(self, task: str, first: int, seconds: float, most: int) -> dict[str, Any]:
        """One job after the other from one synchronous caller."""
        return await asyncio.to_thread(self._one_sync, task, first, seconds, most)

    def _one_sync(self, task: str, first: int, seconds: float, most: int) -> dict[str, Any]:
        began, number = time.monotonic(), first
        while number < first + most and time.monotonic() - began < seconds:
            self._peer.enqueue_now(task, arguments(number))
            number += 1
        return _made(number - first, time.monotonic() - began)

    async def concurrent(self, task: str, first: int, seconds: float, most: int) -> dict[str, Any]:
        """From so many callers at once, each one job after the other.

        They are coroutines of one loop; threads, where the system has no asynchronous way.
        """
        numbers = iter(range(first, first + most))
        began = time.monotonic()
        if self._peer.has("enqueue"):

            async def call() -> int:
                made = 0
                while time.monotonic() - began < seconds:
                    if (number := next(numbers, None)) is None:
                        break
                    await self._peer.enqueue(task, arguments(number))
                    made += 1
                return made

            made = sum(await asyncio.gather(*(call() for _ in range(CALLERS))))
        else:
            made = await asyncio.to_thread(self._threads, task, numbers, began + seconds)
        return _made(made, time.monotonic() - began)

    def _threads(self, task: str, numbers: Any, until: float) -> int:
        def call(_: int) -> int:
            made = 0
            while time.monotonic() < until:
                # One at a time takes a number: an iterator of a range is not left half way.
                if (number := next(numbers, None)) is None:
                    break
                self._peer.enqueue_now(task, arguments(number))
                made += 1
            return made

        with ThreadPoolExecutor(CALLERS) as callers:
            return sum(callers.map(call, range(CALLERS)))

    async def bulk(self, task: str, first: int, most: int) -> dict[str, Any]:
        """All at once, in the system's fastest way."""
        size = self._peer.bulk_size
        began = time.monotonic()
        for start in range(first, first + most, size):
            await self._many(task, range(start, min(start + size, first + most)))
        return _made(most, time.monotonic() - began)

    async def _many(self, task: str, numbers: range) -> None:
        if self._peer.has("enqueue_many"):
            await self._peer.enqueue_many(task, [arguments(number) for number in numbers])
        elif self._peer.has("enqueue"):
            for start in range(numbers.start, numbers.stop, CALLERS):
                some = numbers[start - numbers.start :][:CALLERS]
                await asyncio.gather(*(self._peer.enqueue(task, arguments(n)) for n in some))
        else:
            for number in numbers:
                self._peer.enqueue_now(task, arguments(number))

    async def rest(self) -> None:
        """Let go of all connections; the next order makes new ones."""
        await self._peer.close()
        await self._peer.open()

    async def pickup(
        self, task: str, first: int, most: int, seconds: float, pause: float
    ) -> dict[str, Any]:
        """One job, the wait for its begin, a pause of random length, and so on.

        Returns:
            the seconds from the begin of each enqueue to the begin of its job.
        """
        ledger, waits = own(), []
        until = time.monotonic() + seconds
        for number in range(first, first + most):
            began = time.monotonic_ns()
            await self._send(task, number)
            while not ledger.began(number) and time.monotonic() < until + 5:  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
            if not ledger.began(number):
                raise TimeoutError(f"job {number - first} was not picked up")
            waits.append((ledger.began(number) - began) / 1e9)
            if time.monotonic() > until:
                break
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        return {"jobs": len(waits), "waits": waits}

    async def load(
        self, task: str, first: int, most: int, rate: float, seconds: float
    ) -> dict[str, Any]:
        """Jobs at random moments, so many a second on average, whether they are done or not.

        Returns:
            the moment (nanoseconds) at which the enqueue of each began.
        """
        moments: list[int] = []
        began = at = time.monotonic()
        while len(moments) < most and (at := at + random.expovariate(rate)) < began + seconds:
            if (wait := at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            moments.append(time.monotonic_ns())
            await self._send(task, first + len(moments) - 1)
        return {"jobs": len(moments), "seconds": time.monotonic() - began, "moments": moments}

    async def _send(self, task: str, number: int) -> None:
        if self._peer.has("enqueue"):
            await self._peer.enqueue(task, arguments(number))
        else:
            self._peer.enqueue_now(task, arguments(number))


def _made(jobs: int, seconds: float) -> dict[str, Any]:
    return {"jobs": jobs, "seconds": seconds}


def _abilities(peer: Peer) -> dict[str, Any]:
    ways = ("enqueue", "enqueue_now", "enqueue_many")
    return {
        "settings": peer.settings,
        "kinds": peer.kinds,
        "most_concurrency": peer.most_concurrency,
        "burn": peer.burn,
        "ways": [way for way in ways if peer.has(way)],
    }


async def serve(peer: Peer) -> None:
    """Carry out orders until there are no more."""
    await peer.prepare()
    await peer.open()
    producer = Producer(peer)
    print(json.dumps(_abilities(peer)), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        method, order = json.loads(line)
        print(json.dumps(await getattr(producer, method)(**order)), flush=True)
    await peer.close()


if __name__ == "__main__":
    deathbed.follow()
    run(serve(importlib.import_module(f"benchmarks.peers.{sys.argv[1]}").Peer()))
