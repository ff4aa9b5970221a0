"""Streams of frames on the wire: server-sent events, and WebSocket messages."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ferryman.domain.errors import StoreError
from ferryman.http.answers import STREAM_HEADERS, come_again
from ferryman.http.following import Frame
from ferryman.http.hub import Hub, Listener

GOING_AWAY: Final = 1012
TOO_SLOW: Final = 1008


def sse(frame: Frame) -> bytes:
    """A frame as a server-sent event."""
    id = b"id: %s\n" % frame.id.encode() if frame.id else b""
    if not frame.event:
        return id + b": still here\n\n"
    return b"%sevent: %s\ndata: %s\n\n" % (id, frame.event.encode(), frame.data)


class Opened(NamedTuple):
    """A stream: what is said, and its place in the hub, which it leaves in the end."""

    frames: AsyncGenerator[Frame, None]
    listener: Listener
    hub: Hub

    async def leave(self) -> None:
        """Hear no more."""
        self.hub.leave(self.listener)
        await self.frames.aclose()


class EventStream(Response):
    """Server-sent events for as long as there are any, and as somebody reads them."""

    media_type = "text/event-stream"

    def __init__(self, opened: Opened) -> None:
        super().__init__(None, headers=STREAM_HEADERS, media_type=self.media_type)
        del self.headers["content-length"]
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if await _until_gone(self._write(send), _read(receive), self._opened.listener):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._opened.leave()

    async def _write(self, send: Send) -> None:
        async def say(body: bytes) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": True})

        await say(come_again())
        with contextlib.suppress(StoreError):  # it ends, and is asked for again
            async for frame in self._opened.frames:
                await say(sse(frame))


async def _read(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_gone(writing: Any, reading: Any, listener: Listener) -> bool:
    """Write until all is said, the reader leaves, or is cut; whether all was said."""
    tasks = [asyncio.ensure_future(writing), asyncio.ensure_future(reading)]
    listener.cut = tasks[0].cancel
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        said = tasks[0].done() and not tasks[0].cancelled()
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
    if said and isinstance(done[0], Exception):
        raise done[0]
    return said


async def serve_socket(socket: WebSocket, opened: Opened) -> None:
    """The same over a WebSocket: each message is `{"id", "event", "data"}`."""
    await socket.accept()
    try:
        said = await _until_gone(_send(socket, opened.frames), _hear(socket), opened.listener)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            if said:
                await socket.close(GOING_AWAY, "open it again")
            elif opened.listener.slow:
                await socket.close(TOO_SLOW, "read too slowly")
    finally:
        await opened.leave()


async def _send(socket: WebSocket, frames: AsyncGenerator[Frame, None]) -> None:
    with contextlib.suppress(StoreError, WebSocketDisconnect):
        async for frame in frames:
            message = {"id": frame.id, "event": frame.event or "still-here"}
            data = msgspec.Raw(frame.data or b"null")
            await socket.send_text(msgspec.json.encode({**message, "data": data}).decode())


async def _hear(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()
