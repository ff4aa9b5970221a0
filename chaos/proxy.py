"""A proxy on loopback between clients and a server: late, cut in the middle, or a black hole."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from typing import Final

CHUNK: Final = 65536


class Proxy:
    """Relays connections to a port. It runs on a loop in a thread of its own."""

    def __init__(self, target: int, seed: int = 0) -> None:
        self._target = target
        self._random = random.Random(seed)
        self._delay = 0.0
        self._cuts = 0.0
        self._flowing = asyncio.Event()
        self._halved = False
        self._open: dict[asyncio.StreamWriter, bool] = {}
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="chaos-proxy", daemon=True)
        self._thread.start()
        self._ready.wait()

    # -- what it does to its connections ---------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """Bring each piece so much later; 0 is: at once."""
        self._tell(lambda: setattr(self, "_delay", seconds))

    def cut_in_calls(self, share: float) -> None:
        """Bring requests to the server, and cut the line instead of bringing this share of the
        replies."""
        self._tell(lambda: setattr(self, "_cuts", share))

    def cut(self) -> None:
        """Break all connections that there are."""
        self._tell(lambda: self._break(lambda to_server: True))

    def stall(self) -> None:
        """A black hole: take what is sent, and bring nothing."""
        self._tell(self._flowing.clear)

    def half_open(self) -> None:
        """The server's side is closed, and the clients are not told, nor answered any more."""
        self._tell(self._halve)

    def mend(self) -> None:
        """Let everything through again, late as it is; what is half open is cut."""
        self._tell(self._mend)

    def retarget(self, port: int) -> None:
        """Bring new connections to another server, and break those that there are."""
        self._tell(lambda: setattr(self, "_target", port))
        self.cut()

    def close(self) -> None:
        """Stop."""
        self._tell(self._stopped.set)
        self._thread.join()

    # -- inside ----------------------------------------------------------------------------------

    def _tell(self, act: Callable[[], object]) -> None:
        done = threading.Event()

        def do() -> None:
            act()
            done.set()

        self._loop.call_soon_threadsafe(do)
        done.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._flowing.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopped.wait()
        server.close()
        self._break(lambda to_server: True)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _break(self, which: Callable[[bool], bool]) -> None:
        for writer, to_server in list(self._open.items()):
            if which(to_server):
                writer.transport.abort()

    def _halve(self) -> None:
        self._halved = True
        self._flowing.clear()
        self._break(lambda to_server: to_server)

    def _mend(self) -> None:
        self._delay, self._cuts = 0.0, 0.0
        if self._halved:
            self._break(lambda to_server: True)
        self._halved = False
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # at the end, which is no error
            await self._relay(reader, writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._flowing.wait()
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer: False, inner: True}
        await asyncio.gather(
            self._pump(reader, inner, replies=False),
            self._pump(inner_reader, writer, replies=True),
        )

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, replies: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flowing.wait()
                if replies and self._cuts and self._random.random() < self._cuts:
                    sink.transport.abort()
                sink.write(data)
                await sink.drain()
        if replies:
            await self._flowing.wait()  # a client whose line is half open is not told
        self._open.pop(sink, None)
        sink.close()
