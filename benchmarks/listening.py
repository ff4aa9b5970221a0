"""Many listeners to one service: is anything missed, does anything come twice, how late is it?

python -m benchmarks.listening [--listeners 500] [--seconds 20]

Jobs tell the moment as progress, ten times a second each. In the middle all listeners leave at once
and come again, and later the service is restarted under them. A worker and the listeners share this
process, so what is measured holds their own delays too.
"""

import argparse
import asyncio
import contextlib
import json
import os
import time
from typing import Any

from benchmarks.bench import ground, report
from benchmarks.serving import free_port, serving
from ferryman import Ferryman
from ferryman.settings import Settings

PAUSE = 0.1
"""Seconds between two reports of one job; more often would be merged on the way."""

START = 20.0
"""Seconds that it may take until all listen; the jobs last for so much longer."""


class Ear:
    """One listener to a job: what came, and how late."""

    def __init__(self, port: int, job_id: str) -> None:
        self._port = port
        self.job_id = job_id
        self.seen: list[int] = []
        self.states: list[str] = []
        self.late: list[float] = []
        self.opened = 0
        self.runs = asyncio.Event()
        self.calm = False
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Listen, and come again, until the job has ended."""
        while "succeeded" not in self.states:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._listen()
            await asyncio.sleep(0.2)

    def leave(self) -> None:
        """Break the connection off."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _listen(self) -> None:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        last = f"Last-Event-ID: {self.seen[-1]}\r\n" if self.seen else ""
        path = f"/api/v1/jobs/{self.job_id}/events"
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode())
        self.opened += 1
        replay = True
        while (line := await reader.readline()) and "succeeded" not in self.states:
            if line.startswith(b"data: "):
                self._hear(json.loads(line[6:]), replay)
            replay = replay and not line.startswith(b"data: ")
        self.leave()

    def _hear(self, event: dict[str, Any], replay: bool) -> None:
        self.seen.append(event["seq"])
        if event["kind"] == "state":
            self.states.append(event["target"])
            self.runs.set()
        elif event["kind"] == "progress" and not replay and self.calm:
            self.late.append(time.time() - float(event["progress"]["message"]))


async def main(listeners: int, seconds: float) -> None:
    """Listen while it goes on, with a storm and a restart in the middle."""
    with ground() as (settings, _):
        await _measure(settings, listeners, seconds)


async def _measure(settings: Settings, listeners: int, seconds: float) -> None:
    os.environ["FERRYMAN_DATABASE_URL"] = settings.database_url or ""
    os.environ["FERRYMAN_VALKEY_URL"] = settings.valkey_url or ""
    from benchmarks.served import app

    port = free_port()
    count = max(1, listeners // 25)
    jobs = await app.named("tell").aenqueue_many([(int((seconds + START) / PAUSE), PAUSE)] * count)
    ears = [Ear(port, jobs[number % count].id) for number in range(listeners)]
    async with app.worker(queues=["told"], concurrency=count):
        with serving(settings, port):
            running = [asyncio.create_task(ear.run()) for ear in ears]
            await asyncio.gather(*(ear.runs.wait() for ear in ears))
            _calm(ears, True)
            await asyncio.sleep(seconds * 0.4)
            _calm(ears, False)
            for ear in ears:
                ear.leave()
            await asyncio.sleep(seconds * 0.2)
        with serving(settings, port):
            await asyncio.gather(*running)
    await _judge(app, ears)
    await app.aclose()


def _calm(ears: list[Ear], calm: bool) -> None:
    for ear in ears:
        ear.calm = calm


async def _judge(app: Ferryman, ears: list[Ear]) -> None:
    store = await app.store()
    kept = {ear.job_id: await store.events(ear.job_id) for ear in ears}
    gaps = sum(len({one.seq for one in kept[ear.job_id]} - set(ear.seen)) for ear in ears)
    late = sorted(one for ear in ears for one in ear.late)
    assert late, "nobody heard of any progress: measure for longer"
    report(
        what="listening",
        listeners=len(ears),
        events=sum(len(ear.seen) for ear in ears),
        opened=sum(ear.opened for ear in ears),
        gaps=gaps,
        repeats=sum(len(ear.seen) - len(set(ear.seen)) for ear in ears),
        disorder=sum(ear.seen != sorted(ear.seen) for ear in ears),
        p50_ms=round(late[len(late) // 2] * 1000, 1),
        p95_ms=round(late[int(len(late) * 0.95)] * 1000, 1),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listeners", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    asyncio.run(main(given.listeners, given.seconds))
