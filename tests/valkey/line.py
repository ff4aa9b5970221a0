"""A line to a server that can lose replies, go silent, or break."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Line:
    """Passes bytes on between a loopback port and a server.

    Attributes:
        lose_replies: so many replies are thrown away, each together with its connection.
        silent: nothing that the server says comes through.
        lost: replies that were thrown away so far.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._serving: set[asyncio.Task[None]] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self.lose_replies = 0
        self.lost = 0
        self.silent = False
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._deaf: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where a client finds the line."""
        assert self._listener is not None
        return f"redis://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}/0"

    def deafen(self) -> int:
        """Let nothing through any more on connections that have subscribed; says how many."""
        self._deaf |= self._subscribers
        return len(self._deaf)

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._serving)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        if self._target.scheme == "unix":
            server = await asyncio.open_unix_connection(self._target.path)
        else:
            server = await asyncio.open_connection(self._target.hostname, self._target.port)
        await self._both_ways(
            asyncio.create_task(self._pass_on(reader, server[1], writer)),
            asyncio.create_task(self._answer(server[0], writer)),
        )
        for end in (writer, server[1]):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()
        self._serving.discard(task)

    async def _both_ways(self, *ways: asyncio.Task[None]) -> None:
        """Until one way ends."""
        self._passing |= set(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._passing -= set(ways)

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        while data := await source.read(65536):
            if b"\r\nSUBSCRIBE\r\n" in data:
                self._subscribers.add(client)
            sink.write(data)
            await sink.drain()

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if self.lose_replies:
                self.lose_replies -= 1
                self.lost += 1
                return  # the connection goes with the reply
            if not self.silent and sink not in self._deaf:
                sink.write(data)
                await sink.drain()
