"""Messages over a socket between two processes: four bytes of length, then JSON."""

import asyncio
import contextlib
import socket
import threading
from typing import Any, Final, Generic, TypeVar

import msgspec

from ferryman.worker.messages import Message

M = TypeVar("M")

_HEADER: Final = 4
_encoder: Final = msgspec.json.Encoder()


def pack(message: Message) -> bytes:
    """A message as it goes over the socket."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_HEADER, "big") + body


class Channel(Generic[M]):
    """One end, for an event loop. `M` is the union of the messages that come in."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming: Any
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder: msgspec.json.Decoder[M] = msgspec.json.Decoder(incoming)

    @classmethod
    async def over(cls, end: socket.socket, incoming: Any) -> "Channel[M]":
        """Take over a connected Unix socket."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end), incoming)

    def send(self, message: Message) -> None:
        """Send without waiting; to an end that is closed: nothing."""
        if not self._writer.is_closing():
            self._writer.write(pack(message))

    async def receive(self) -> M | None:
        """The next message; `None` when the other end is closed."""
        try:
            header = await self._reader.readexactly(_HEADER)
            body = await self._reader.readexactly(int.from_bytes(header, "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return self._decoder.decode(body)

    async def flush(self) -> None:
        """Wait until the other end can read all that was sent."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def hang_up(self) -> None:
        """Close this end without waiting; `receive` gives what has arrived, then `None`."""
        self._writer.close()

    async def close(self) -> None:
        """Close this end."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            await self._writer.wait_closed()


class BlockingChannel(Generic[M]):
    """One end, for threads: any may send, one receives."""

    def __init__(self, end: socket.socket, incoming: Any) -> None:
        self._socket = end
        self._lock = threading.Lock()
        self._decoder: msgspec.json.Decoder[M] = msgspec.json.Decoder(incoming)

    def send(self, message: Message) -> None:
        """Send, waiting for room; to an end that is closed: nothing."""
        with self._lock, contextlib.suppress(OSError):
            self._socket.sendall(pack(message))

    def receive(self) -> M | None:
        """The next message; `None` when the other end is closed."""
        header = self._exactly(_HEADER)
        body = header and self._exactly(int.from_bytes(header, "big"))
        return self._decoder.decode(body) if body else None

    def _exactly(self, length: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < length:
            try:
                part = self._socket.recv(length - len(parts))
            except OSError:
                return None
            if not part:
                return None
            parts += part
        return bytes(parts)
