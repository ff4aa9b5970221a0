"""One connection: commands go out, and as many replies come back.

The driver connects and greets the server (TLS, login, database). From then on its streams are left
out: they cost more than all else that a call does on this side.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

Command = tuple[bytes | str | int | float, ...]

_ERRORS: Final = {
    "NOSCRIPT": NoScriptError,
    "OOM": OutOfMemoryError,
    "LOADING": BusyLoadingError,
    "NOAUTH": AuthenticationError,
    "WRONGPASS": AuthenticationError,
}


def _error(message: str) -> Exception:
    kind: type[Exception] = _ERRORS.get(message.partition(" ")[0], ResponseError)
    return kind(message)


def reader() -> hiredis.Reader:
    """What makes replies of bytes; errors of the server are replies of the driver's kinds."""
    return hiredis.Reader(replyError=_error)


class Wire(asyncio.Protocol):
    """Exchanges over a connection that was just made, one at a time.

    A reply is told from the others only by its place: after anything that goes wrong the wire is
    not used again.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        # Kept, and taken from the driver: whichever of the two is collected closes the transport.
        self._writer: asyncio.StreamWriter = connection._writer  # type: ignore[assignment]
        connection._reader = connection._writer = None
        self._transport = self._writer.transport
        self._transport.set_protocol(self)
        self._reader = reader()
        self._replies: list[Any] = []
        self._missing = 0
        self._complete: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()
        self._fault: Exception | None = None

    @property
    def usable(self) -> bool:
        """Whether it is not known to be broken."""
        return self._fault is None

    async def exchange(self, commands: Iterable[Command]) -> list[Any]:
        """Send commands and return their replies; errors of the server are replies too.

        Raises:
            RedisConnectionError: the connection broke, or the server is not ready to serve it.
        """
        if self._fault is not None:
            raise self._fault
        # Its stub forgets how long a tuple may be.
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        self._missing = len(packed)
        self._complete = asyncio.get_running_loop().create_future()
        self._transport.writelines(packed)
        try:
            await self._complete
        except BaseException:
            self._break(RedisConnectionError("a call was given up before its replies had come"))
            raise
        replies, self._replies = self._replies, []
        return replies

    async def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        self._break(RedisConnectionError("the connection was closed"))
        await self._gone.wait()

    def data_received(self, data: bytes) -> None:
        """Called by the loop: a part of some replies, or several."""
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except (hiredis.ProtocolError, RedisConnectionError) as error:
            self._break(RedisConnectionError(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop: nothing will come any more."""
        self._gone.set()
        self._break(RedisConnectionError(str(error or "the server closed the connection")))

    def _take(self, reply: Any) -> None:
        if isinstance(reply, RedisConnectionError):
            self._break(reply)
        elif not self._missing:
            self._break(RedisConnectionError("the server said what nobody had asked for"))
        else:
            self._replies.append(reply)
            self._missing -= 1
            if not self._missing and self._complete and not self._complete.done():
                self._complete.set_result(None)

    def _break(self, error: Exception) -> None:
        if self._fault is None:
            self._fault = error
            self._transport.abort()
        if self._complete is not None and not self._complete.done():
            self._complete.set_exception(error)
