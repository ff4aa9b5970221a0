"""A service on a loopback port, in a thread of the test's process, with a worker on demand."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from ferryman import Ferryman
from ferryman.http import create_app
from tests.servers import free_port

T = TypeVar("T")
PATIENCE = 30.0


class Site:
    """Serves an application's pages, from `start` to `stop`, which may follow each other often.

    Args:
        mounted: a path below which the service is mounted, in an application that is not ours.
        options: of `create_app`.
    """

    def __init__(self, app: Ferryman, mounted: str = "", **options: Any) -> None:
        self.app = app
        self._options = {"auth": "off", "rate": 0.0, **options}
        self._mounted = mounted
        self._port = free_port()
        self.url = f"http://localhost:{self._port}{mounted}/"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: uvicorn.Server | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine on the service's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def start(self) -> None:
        """Answer requests from now on."""
        self.run(self._start())

    async def _start(self) -> None:
        served = self._served = create_app(self.app, **self._options)
        outer = Starlette(routes=[Mount(self._mounted, served)]) if self._mounted else served
        config = uvicorn.Config(
            outer,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            ws="websockets-sansio",
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        listening = socket.create_server(("127.0.0.1", self._port))
        self._serving = asyncio.ensure_future(self._server.serve([listening]))
        while not self._server.started:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)

    def listeners(self) -> int:
        """How many streams are open."""
        number: int = self._served.state.service.hub.listeners
        return number

    def stop(self) -> None:
        """Answer nobody any more."""
        self.run(self._stop())

    async def _stop(self) -> None:
        if self._server is not None:
            await self._served.state.service.close()
            self._server.should_exit = True
            await self._serving
            self._server = None

    @contextlib.contextmanager
    def worker(self, **options: Any) -> Iterator[None]:
        """Run jobs meanwhile."""
        worker = self.app.worker(**{"concurrency": 4, "grace": 0.2, **options})
        self.run(worker.__aenter__())
        try:
            yield
        finally:
            self.run(worker.__aexit__(None, None, None))

    def close(self) -> None:
        """Stop, and let go of everything."""
        self.stop()
        self.run(self.app.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
