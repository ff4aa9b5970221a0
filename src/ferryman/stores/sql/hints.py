"""Hints: waiting for work and for a job's end, without asking the database all the time.

Whoever waits is woken by a signal of the database (`signals`), and, since signals may be lost, by
a look into the tables at growing intervals. One look serves all who wait in this process.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, Protocol

import msgspec

from ferryman.domain.errors import StoreError

SETTLE: Final = 0.02
"""Seconds after which a new waiter gets a look of its own: a signal may have come just before."""

EVENTS: Final = 0.1
"""The longest time, in seconds, between two looks of those who read the feed."""


class Topics(msgspec.Struct, frozen=True, omit_defaults=True):
    """Queues that have, or may have, work; jobs that have ended; and whether anything happened."""

    queues: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    events: bool = False

    def __bool__(self) -> bool:
        return bool(self.queues or self.jobs or self.events)


Look = Callable[[Topics], Awaitable[Topics]]
"""Which of these queues have work, and which of these jobs have ended."""


Wake = Callable[[Topics], None]
"""Wakes those in this process who wait for one of these."""


class Signal(Protocol):
    """How a database tells that something changed.

    Attributes:
        patience: the longest time, in seconds, between two looks into the tables.
    """

    patience: float

    async def changed(self, timeout: float, *, keen: bool) -> None:
        """Return when something may have changed, or after `timeout` seconds.

        Args:
            keen: it is worth looking often: something came about just now, or is followed closely.
        """
        ...

    def announce(self, topics: Topics) -> None:
        """Tell other processes, later and as well as it goes."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class Hints:
    """Those who wait in this process, and the task that looks for them."""

    def __init__(self, look: Look, connect: Callable[[Wake], Signal]) -> None:
        self._look = look
        self._signal = connect(self.wake)
        self._for_queue: dict[str, set[asyncio.Future[None]]] = {}
        self._for_job: dict[str, set[asyncio.Future[None]]] = {}
        self._for_events: dict[str, set[asyncio.Future[None]]] = {}
        self._anyone = asyncio.Event()
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wait(self, topics: Topics, timeout: float) -> None:
        """Return when one of `topics` may have come about, or after `timeout` seconds."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        for waiting, name in self._places(topics):
            waiting.setdefault(name, set()).add(woken)
        self._anyone.set()
        if self._task is None:
            self._task = loop.create_task(self._watch())
        # Whoever reads the feed has just read it, and is woken in a moment anyhow.
        pause = SETTLE if topics.queues or topics.jobs else timeout
        first_look = loop.call_later(pause, self._due.set)
        try:
            await asyncio.wait([woken], timeout=timeout)
        finally:
            first_look.cancel()
            self._forget(topics, woken)

    def _places(self, topics: Topics) -> Iterator[tuple[dict[str, set[asyncio.Future[None]]], str]]:
        for name in topics.queues:
            yield self._for_queue, name
        for job_id in topics.jobs:
            yield self._for_job, job_id
        if topics.events:
            yield self._for_events, ""

    def _forget(self, topics: Topics, woken: asyncio.Future[None]) -> None:
        for waiting, name in self._places(topics):
            waiting[name].discard(woken)
            if not waiting[name]:
                del waiting[name]
        if not (self._for_queue or self._for_job or self._for_events):
            self._anyone.clear()

    def wake(self, topics: Topics) -> None:
        """Wake those in this process who wait for one of `topics`; for events, whatever it is."""
        if topics:
            topics = msgspec.structs.replace(topics, events=True)
        for waiting, name in self._places(topics):
            for woken in waiting.get(name, ()):
                if not woken.done():
                    woken.set_result(None)

    def announce(
        self, queues: Iterable[str] = (), jobs: Iterable[str] = (), *, events: bool = False
    ) -> None:
        """Tell all who wait, here and in other processes, what came about."""
        topics = Topics(frozenset(queues), frozenset(jobs), events)
        if topics:
            self.wake(topics)
            self._signal.announce(topics)

    async def close(self) -> None:
        """Stop looking. Those who wait are left to their time-outs."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._signal.close()

    async def _watch(self) -> None:
        pause, found = SETTLE, Topics()
        while True:
            await self._anyone.wait()
            keen = bool(found or self._for_events)
            await self._pause(min(pause, EVENTS) if self._for_events else pause, keen=keen)
            found = await self._found()
            self.wake(found or Topics(events=True))
            pause = SETTLE if found else min(2 * pause, self._signal.patience)

    async def _pause(self, pause: float, *, keen: bool) -> None:
        """Wait for a signal, for the first look of a new waiter, or for `pause` seconds."""
        changed = asyncio.ensure_future(self._signal.changed(pause, keen=keen))
        due = asyncio.ensure_future(self._due.wait())
        try:
            await asyncio.wait((changed, due), return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            due.cancel()
            await asyncio.gather(changed, due, return_exceptions=True)
        self._due.clear()

    async def _found(self) -> Topics:
        wanted = Topics(frozenset(self._for_queue), frozenset(self._for_job))
        try:
            return await self._look(wanted) if wanted else wanted
        except StoreError:
            return Topics()  # whoever waits will find out by a call of its own
