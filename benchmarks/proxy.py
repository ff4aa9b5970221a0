"""A server that is further away: a TCP proxy that holds back every byte for some time, each way.

    python -m benchmarks.proxy HOST PORT MILLISECONDS    prints its port, serves until it is ended
    python -m benchmarks.proxy --limit MILLISECONDS      prints what it can do at most

It runs in one process on one loop. Its waits are exact to some microseconds: the usual selector of
the loop rounds them up to whole milliseconds, which would double what it adds.
"""

import asyncio
import contextlib
import json
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from benchmarks import deathbed

SLACK: Final = 0.00002
"""Seconds that bytes may leave early, so that those of nearly the same moment leave together."""


class Direction(asyncio.Protocol):
    """One end of a connection: what comes in here goes out at the other end, later."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._ended = False
        self.transport: asyncio.Transport | None = None
        self.other: Direction | None = None

    def connection_made(self, transport: Any) -> None:
        """Bytes that came before the other end was there can go now."""
        self.transport = transport
        if self.other is not None:
            self.other.flush()

    def data_received(self, data: bytes) -> None:
        """Hold them back."""
        due = self._loop.time() + self._delay
        self._waiting.append((due, data))
        if len(self._waiting) == 1:
            if self._delay:
                self._loop.call_at(due, self.flush)
            else:
                self.flush()

    def flush(self) -> None:
        """Send what is due, and come back for the rest."""
        target = self.other.transport if self.other is not None else None
        if target is None:
            return  # `connection_made` of the other end comes back here
        now = self._loop.time() + SLACK
        while self._waiting and self._waiting[0][0] <= now:
            target.write(self._waiting.popleft()[1])
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self.flush)
        elif self._ended:
            target.close()

    def connection_lost(self, _: Exception | None) -> None:
        """The other end closes once it has all."""
        self._ended = True
        if not self._waiting:
            self.flush()


class Echo(asyncio.Protocol):
    """A server that says what it hears."""

    def connection_made(self, transport: Any) -> None:
        """Keep the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Say it."""
        self._transport.write(data)


async def proxy(host: str, port: int, delay: float) -> asyncio.Server:
    """A listening proxy for this server."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[Any]] = set()

    def accept() -> Direction:
        near, far = Direction(delay), Direction(delay)
        near.other, far.other = far, near
        task = loop.create_task(loop.create_connection(lambda: far, host, port))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return near

    return await loop.create_server(accept, "127.0.0.1", 0, backlog=512)


async def serve(host: str, port: int, delay: float) -> None:
    """Print the port, and go on for ever."""
    server = await proxy(host, port, delay)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def limit(delay: float, clients: int = 100, seconds: float = 1.0) -> dict[str, float]:
    """Messages a second through the proxy with so many clients, and a round trip of one alone."""

    async def exchange(until: float) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        exchanged = 0
        while time.monotonic() < until:
            writer.write(b"x" * 100)
            await reader.readexactly(100)
            exchanged += 1
        writer.close()
        return exchanged

    echoing = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    with proxied("127.0.0.1", echoing.sockets[0].getsockname()[1], delay) as port:
        alone = await exchange(time.monotonic() + seconds)
        until = time.monotonic() + seconds
        together = sum(await asyncio.gather(*(exchange(until) for _ in range(clients))))
    return {"round_trip_ms": seconds / alone * 1000, "round_trips_a_second": together / seconds}


@contextlib.contextmanager
def proxied(host: str, port: int, delay: float) -> Iterator[int]:
    """The port of a proxy for this server that runs as long as this lasts."""
    command = [sys.executable, "-m", "benchmarks.proxy", host, str(port), str(delay * 1000)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _run(main: Any) -> Any:
    # `select` takes microseconds, where `epoll` takes milliseconds.
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        return runner.run(main)


if __name__ == "__main__":
    if sys.argv[1] == "--limit":
        print(json.dumps(_run(limit(float(sys.argv[2]) / 1000))))
    else:
        deathbed.follow()
        _run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000))
