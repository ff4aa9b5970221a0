"""A service on a port of its own, within the test's process, and those who listen to it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn


@contextlib.asynccontextmanager
async def serving(served: Any, port: int = 0) -> AsyncIterator[int]:
    """The port on which a service answers."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        served,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
        ws="websockets-sansio",
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]  # pytest's own
    running = asyncio.create_task(server.serve([taken]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
            if running.done():
                await running
        yield taken.getsockname()[1]
    finally:
        await served.state.service.close()
        server.should_exit = True
        await running
        taken.close()


class Events:
    """A browser's `EventSource`: reads a stream, and comes again with the last id.

    Attributes:
        told: every event as (kind, data), in order.
        last_id: of the latest one.
        opened: how often the stream was opened.
        over: it gave up, as the answer was not 200.
    """

    def __init__(self, url: str, *, patience: float = 0.01) -> None:
        self._url = url
        self._patience = patience
        self._task = asyncio.create_task(self._run())
        self.told: list[tuple[str, Any]] = []
        self.last_id = ""
        self.opened = 0
        self.over = False
        self.news = asyncio.Event()

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            while not self.over:
                with contextlib.suppress(httpx.TransportError):
                    await self._read(client)
                await asyncio.sleep(self._patience)

    async def _read(self, client: httpx.AsyncClient) -> None:
        headers = {"last-event-id": self.last_id} if self.last_id else {}
        async with client.stream("GET", self._url, headers=headers) as answer:
            if answer.status_code != 200:
                self.over = True
                return
            self.opened += 1
            kind, data, id = "message", "", None
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                match name:
                    case "event":
                        kind = value
                    case "data":
                        data = value
                    case "id":
                        id = value
                    case "" if not line:
                        if id is not None:
                            self.last_id = id
                        if data:
                            self.told.append((kind, json.loads(data)))
                            self.news.set()
                        kind, data, id = "message", "", None

    async def until(self, enough: Any, timeout: float = 20.0) -> None:
        """Wait until `enough(self)`."""
        async with asyncio.timeout(timeout):
            while not enough(self):
                self.news.clear()
                await self.news.wait()

    async def close(self) -> None:
        """Leave."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
