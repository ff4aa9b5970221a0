"""Waiting without asking all the time. Every hint may be lost: it costs time, never a job."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from ferryman.domain.errors import StoreError
from ferryman.domain.job import Job
from ferryman.settings import Settings
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.connection import Link
from ferryman.stores.valkey.readers import Readers
from ferryman.stores.valkey.records import pack_id

BLOCK: Final = 5.0
"""Seconds that one blocking read lasts at most; then the connection has shown that it lives."""

LEAST_BLOCK: Final = 0.01
"""Seconds; 0 would be for ever."""

MARGIN: Final = 5.0
"""Seconds that a blocking read may be late before its connection is given up."""

POLL: Final = 2.0
"""Seconds after which someone who waits for a job's end looks for himself."""

CONFIRM: Final = 1.0
"""Seconds that a subscription may take; without it, polling goes on all the same."""


class Channels:
    """One subscribed connection for all who wait for the end of a job in this process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._connection: AbstractConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiters: dict[bytes, list[asyncio.Event]] = {}
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def waiting(self, channel: bytes) -> AsyncIterator[asyncio.Event]:
        """Gives an event that is set when something is said on `channel`, or it went deaf."""
        heard = asyncio.Event()
        self._waiters.setdefault(channel, []).append(heard)
        try:
            yield heard
        finally:
            await self._leave(channel, heard)

    async def listen(self, channel: bytes) -> None:
        """Hear all that is said on `channel` from now on, if the server can be reached."""
        try:
            async with asyncio.timeout(CONFIRM):
                await self._subscribe(channel)
        except TimeoutError:
            await self.close()  # nobody may be at the other side
        except (StoreError, RedisError, OSError):
            pass

    async def _subscribe(self, channel: bytes) -> None:
        async with self._opening:
            if self._connection is None:
                self._connection = await self._link.connection()
                self._reader = asyncio.create_task(self._read(self._connection))
            if channel not in self._confirmed:
                self._confirmed[channel] = asyncio.Event()
                await self._connection.send_command("SUBSCRIBE", channel, check_health=False)
        await self._confirmed[channel].wait()

    async def _leave(self, channel: bytes, heard: asyncio.Event) -> None:
        waiters = self._waiters[channel]
        waiters.remove(heard)
        if waiters:
            return
        del self._waiters[channel]
        if self._confirmed.pop(channel, None) and self._connection is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._connection.send_command("UNSUBSCRIBE", channel, check_health=False)

    async def _read(self, connection: AbstractConnection) -> None:
        with contextlib.suppress(RedisError, OSError):
            while True:
                kind, channel, _ = await connection.read_response()
                if kind == b"subscribe" and channel in self._confirmed:
                    self._confirmed[channel].set()
                elif kind == b"message":
                    self._tell(channel)
        await self._drop()

    def _tell(self, channel: bytes) -> None:
        for heard in self._waiters.get(channel, ()):
            heard.set()

    async def _drop(self) -> None:
        """Forget the connection; all who wait look for themselves, and listen anew."""
        connection, self._connection = self._connection, None
        for confirmed in self._confirmed.values():
            confirmed.set()
        self._confirmed.clear()
        for channel in self._waiters:
            self._tell(channel)
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Stop listening; whoever waits then listens on a new connection. Twice is fine."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        await self._drop()


class Hints(Readers):
    """The waiting verbs."""

    def __init__(self, settings: Settings, clock: Callable[[], int] | None = None) -> None:
        super().__init__(settings, clock)
        # Blocked reads have connections of their own: they must not use up those of the others.
        self._blocking: Final = Link(settings.valkey_url or "", settings.store_timeout)
        self._channels: Final = Channels(self._link)

    async def wait_for_work(self, queues: Sequence[str], timeout: float) -> None:
        """See `JobStore.wait_for_work`."""
        end = time.monotonic() + timeout
        keys = [self._keys.wake(queue) for queue in queues]
        if not keys:
            await asyncio.sleep(timeout)
        while (left := end - time.monotonic()) > 0 and keys:
            block = max(LEAST_BLOCK, min(left, BLOCK))
            call = calls.command("BLPOP", *keys, block)
            if await self._blocking.run(call, timeout=block + MARGIN):
                return

    async def wait_for_end(self, job_id: str, timeout: float) -> Job | None:
        """See `JobStore.wait_for_end`. A message that is lost costs `POLL` seconds at most."""
        end = time.monotonic() + timeout
        (job,) = await self.get([job_id])
        if job is None or job.state.terminal:
            return job
        channel = self._keys.done(job.queue, pack_id(job_id))
        async with self._channels.waiting(channel) as heard:
            while True:
                heard.clear()
                await self._channels.listen(channel)
                # What happened before someone listened is seen here.
                job = await self._job_in(job.queue, job_id)
                left = end - time.monotonic()
                if job is None or job.state.terminal or left <= 0:
                    return job
                if not await _set_within(heard, min(left, POLL)):
                    await self._hear_again(job)

    async def _hear_again(self, job: Job) -> None:
        """Give up a connection that did not tell of an end: nobody may be at its other side."""
        now = await self._job_in(job.queue, job.id)
        if now is not None and now.state.terminal:
            await self._channels.close()


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
