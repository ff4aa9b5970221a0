"""The way to the server: connections, retries, time-outs, and the errors that callers see.

A connection on which anything went wrong (a time-out, a cancelled caller, half a reply) is closed
and never used again.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from ferryman.domain.errors import ConfigError, StoreError, StoreFull, StoreUnavailable
from ferryman.settings import scrub
from ferryman.stores.valkey.scripts import Script
from ferryman.stores.valkey.wire import Command, Wire

T = TypeVar("T")

CONNECT_TIMEOUT: Final = 5.0
"""Seconds that a connection may take to come about, where a whole call may take longer."""

MAX_CONNECTIONS: Final = 64
"""Connections of one process; callers beyond wait for one."""

PAUSES: Final = (0.05, 0.25, 0.5)
"""Longest waits before a call is made again (seconds); each is drawn evenly from 0 to this."""

_BROKEN: Final = (RedisConnectionError, RedisTimeoutError, OSError)

_PASSING: Final = ("READONLY", "BUSY ", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS")
"""Errors of a server that is not ready to be written to just now."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One command or script call, and how its reply is read.

    Attributes:
        script: the script to call; `None`: `arguments` are a whole command.
        key: the prefix that a script builds its keys on.
    """

    script: Script | None
    key: str
    arguments: Sequence[bytes | str | int | float]
    read: Callable[[Any], T]

    def command(self, *, whole: bool = False) -> Command:
        """What is sent: the script by its hash, or as a whole where the server lacks it."""
        if self.script is None:
            return tuple(self.arguments)
        if whole:
            return ("EVAL", self.script.text, 1, self.key, *self.arguments)
        return ("EVALSHA", self.script.sha, 1, self.key, *self.arguments)


class Link:
    """Connections to one server, and calls over them.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`; options in its query pass through.
        timeout: seconds that a call may take in all.

    Raises:
        ConfigError: the URL cannot be used.
    """

    pool: ClassVar[type[Any]] = ConnectionPool
    retry: ClassVar[type[Any]] = Retry

    def __init__(self, url: str, timeout: float) -> None:
        self.shown: Final = shown(url)
        self._timeout = timeout
        self._connect_timeout = min(timeout, CONNECT_TIMEOUT)
        self._factory = self._connections_to(url)
        self._idle: list[Wire] = []
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._closed = False

    async def run(self, call: Call[T], *, repeat: bool = False, timeout: float | None = None) -> T:
        """Make one call.

        Args:
            repeat: the call may be made again when its reply was lost.
            timeout: instead of the link's, in seconds.

        Raises:
            StoreUnavailable, StoreFull, StoreError: see `translated`.
        """
        (reply,) = await self._replies([call], repeat, timeout)
        return call.read(reply)

    async def run_all(
        self, calls: Sequence[Call[T]], *, repeat: bool = False, timeout: float | None = None
    ) -> list[T]:
        """Make calls in one round trip, each as if it were alone; the first error is raised.

        A script that the server does not know yet runs after the others. Arguments as for `run`.
        """
        if not calls:
            return []
        replies = await self._replies(calls, repeat, timeout)
        return [call.read(reply) for call, reply in zip(calls, replies, strict=True)]

    async def connection(self) -> AbstractConnection:
        """A connection of the caller's own, who must disconnect it.

        Raises:
            StoreUnavailable, StoreError: the server cannot be reached, or refuses the login.
        """
        try:
            return await self._new_connection()
        except (RedisError, OSError) as error:
            raise self.translated(error) from error

    async def close(self) -> None:
        """Close every connection. Closing twice is fine."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    def _limit(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(seconds)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _replies(
        self, calls: Sequence[Call[Any]], repeat: bool, timeout: float | None
    ) -> list[Any]:
        try:
            async with self._limit(timeout or self._timeout):
                replies = await self._repeated(calls, repeat)
        except (RedisError, OSError) as error:
            raise self.translated(error) from error
        for reply in replies:
            if isinstance(reply, ResponseError):
                raise self.translated(reply) from reply
        return replies

    async def _repeated(self, calls: Sequence[Call[Any]], repeat: bool) -> list[Any]:
        for pause in PAUSES if repeat else ():
            try:
                return await self._once(calls)
            except AuthenticationError:
                raise  # it will be refused again
            except _BROKEN:
                await self._pause(random.uniform(0.0, pause))  # noqa: S311 - spreads load
        return await self._once(calls)

    async def _once(self, calls: Sequence[Call[Any]]) -> list[Any]:
        replies = await self._exchange(call.command() for call in calls)
        unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:
            again = await self._exchange(calls[at].command(whole=True) for at in unknown)
            for at, reply in zip(unknown, again, strict=True):
                replies[at] = reply
        return replies

    async def _exchange(self, commands: Iterable[Command]) -> list[Any]:
        """Send commands and read as many replies; errors of the server are replies too."""
        async with self._room:
            wire = await self._connected()
            replies = await wire.exchange(commands)
            self._idle.append(wire)
        if self._closed:
            await self.close()
        return replies

    def _connections_to(self, url: str) -> Any:
        """What makes connections. Calls bound their own time, so a socket needs no limit beside."""
        options: dict[str, Any] = {
            "protocol": 2,  # one shape of replies, whatever version of the driver and the server
            # Only calls that say so are repeated, and not here.
            "retry": self.retry(NoBackoff(), 0),
            "socket_timeout": None,
            "socket_connect_timeout": self._connect_timeout,
        }
        if not url.startswith("unix:"):
            options["socket_keepalive"] = True
        try:
            return self.pool.from_url(url, **options)
        except ValueError as error:
            said = f"FERRYMAN_VALKEY_URL={self.shown!r} cannot be used: {error}"
            raise ConfigError(said) from error

    async def _connected(self) -> Wire:
        while self._idle:
            wire = self._idle.pop()
            if wire.usable:
                return wire
        return Wire(await self._new_connection())

    async def _new_connection(self) -> AbstractConnection:
        connection: AbstractConnection = self._factory.make_connection()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException as error:
            await connection.disconnect(nowait=True)
            raise login_error(error) from None
        return connection

    def translated(self, error: Exception) -> StoreError:
        """The driver's error as one of ours, with the server's address and without its password."""
        if isinstance(error, OutOfMemoryError):
            return StoreFull(
                f"the server at {self.shown} is at its memory limit and takes no new jobs: raise "
                "maxmemory, or let jobs end and be pruned"
            )
        if isinstance(error, BusyLoadingError):
            return StoreUnavailable(f"the server at {self.shown} is still loading its data")
        if isinstance(error, AuthenticationError):
            return StoreError(f"the server at {self.shown} refused the login: {error}")
        if isinstance(error, ResponseError):
            kind = StoreUnavailable if str(error).startswith(_PASSING) else StoreError
            return kind(f"the server at {self.shown} refused: {error}")
        if isinstance(error, _BROKEN):
            reason = str(error).rstrip(".") or "it did not answer in time"
            return StoreUnavailable(
                f"cannot reach the server at {self.shown}: {reason}. Is it running, and is "
                "FERRYMAN_VALKEY_URL right?"
            )
        return StoreError(f"the server at {self.shown} could not be used: {error}")


def login_error(error: BaseException) -> BaseException:
    """The refused login behind an error, where there is one."""
    # On Unix sockets the driver calls it a broken line.
    cause = error.__cause__
    return cause if isinstance(cause, AuthenticationError) else error


def shown(url: str) -> str:
    """A server's URL for messages: without a password, be it before the host or in the query."""
    return scrub(url).partition("?")[0]
