"""Taking jobs in from the calling thread itself, for synchronous callers.

To wake a thread with an event loop and to be woken by it costs more than all else that one enqueue
does. So the same code runs here over a link whose coroutines never wait for a loop: they block.
"""

import contextlib
import select
import socket
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

import hiredis
from redis.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from ferryman.domain.job import NewJob, Submitted
from ferryman.settings import Settings
from ferryman.stores.tally import Tally
from ferryman.stores.valkey import doctor
from ferryman.stores.valkey.connection import Link, login_error
from ferryman.stores.valkey.producers import Producers
from ferryman.stores.valkey.wire import Command, reader

T = TypeVar("T")

_PIECE: Final = 65536
"""Bytes read at a time."""


class DirectWire:
    """`Wire` without a loop: exchanges that block the thread, over a connection just made."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._socket: socket.socket = connection._sock  # type: ignore[assignment]
        self._reader = reader()
        self._heard = select.poll()
        self._heard.register(self._socket, select.POLLIN)

    @property
    def usable(self) -> bool:
        """Whether it is not known to be broken: nothing is there to be read, not even its end."""
        return not self._reader.has_data() and not self._heard.poll(0)

    def exchange(self, commands: Iterable[Command], until: float) -> list[Any]:
        """Send commands and return their replies; errors of the server are replies too.

        Args:
            until: the moment of the monotonic clock at which it is given up.

        Raises:
            OSError, RedisConnectionError, hiredis.ProtocolError: it must not be used again.
        """
        # Its stub forgets how long a tuple may be.
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        self._socket.settimeout(_left(until))
        self._socket.sendall(b"".join(packed))
        replies: list[Any] = []
        while len(replies) < len(packed):
            reply = self._reader.gets()
            if isinstance(reply, RedisConnectionError):
                raise reply
            if reply is not False:
                replies.append(reply)
                continue
            self._socket.settimeout(_left(until))
            data = self._socket.recv(_PIECE)
            if not data:
                raise RedisConnectionError("the server closed the connection")
            self._reader.feed(data)
        return replies

    def close(self) -> None:
        """Close the connection. Closing twice is fine."""
        self._connection.disconnect()  # type: ignore[no-untyped-call]


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class DirectLink(Link):
    """`Link` for one thread at a time. Its coroutines end at their first step: see `stepped`."""

    pool, retry = ConnectionPool, Retry

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, timeout)
        self._wire: DirectWire | None = None
        self._until = 0.0

    async def close(self) -> None:
        """Close the connection; a later call makes a new one."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _limit(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        self._until = time.monotonic() + seconds
        return contextlib.nullcontext()

    async def _pause(self, seconds: float) -> None:
        time.sleep(min(seconds, _left(self._until)))  # noqa: ASYNC251 - there is no loop

    async def _exchange(self, commands: Iterable[Command]) -> list[Any]:
        wire, self._wire = self._wire, None
        if wire is not None and not wire.usable:
            wire.close()
            wire = None
        wire = wire or self._connect()
        try:
            replies = wire.exchange(commands, self._until)
        except hiredis.ProtocolError as error:
            wire.close()
            raise RedisConnectionError(str(error)) from error
        except BaseException as error:
            wire.close()
            if isinstance(error, TimeoutError):
                raise TimeoutError from None  # in the words that all calls have for it
            raise
        self._wire = wire
        return replies

    def _connect(self) -> DirectWire:
        connection = self._factory.make_connection()
        # Greeting the server is bounded as connecting is.
        limit = min(self._connect_timeout, _left(self._until))
        connection.socket_connect_timeout = connection.socket_timeout = limit
        try:
            connection.connect()
        except BaseException as error:
            connection.disconnect()
            raise login_error(error) from None
        return DirectWire(connection)


class DirectStore:
    """Takes jobs in as `ValkeyStore` does, for one caller at a time, who waits meanwhile.

    Raises:
        ConfigError: no URL, or one that cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producers = _DirectProducers(settings)

    def open(self) -> None:
        """See `JobStore.open`."""
        server = stepped(doctor.examine(self._producers.link))
        doctor.refuse_unsafe(server, self._settings.allow)

    def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        """See `JobStore.submit`."""
        return stepped(self._producers.submit(jobs))

    def write_figures(self) -> None:
        """See `DirectStore.write_figures`."""
        stepped(self._producers.tally.flush())

    def close(self) -> None:
        """See `JobStore.close`."""
        stepped(self._producers.tally.close())
        stepped(self._producers.link.close())


class _DirectProducers(Producers):
    link_kind = DirectLink
    on_loop = False

    @property
    def link(self) -> Link:
        return self._link

    @property
    def tally(self) -> Tally:
        return self._tally


def stepped(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that never waits for a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("a coroutine that was to block its thread waits for a loop")
