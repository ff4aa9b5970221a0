"""The hub: one reader of the store's feed in each process, and all who listen to it."""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

import msgspec

from ferryman.domain.errors import StoreError
from ferryman.domain.job import EventKind, Job, JobEvent
from ferryman.http.answers import encode
from ferryman.http.keyring import is_live
from ferryman.http.views import EventView, event_view
from ferryman.stores import JobStore

logger = logging.getLogger("ferryman.http")

ROOM: Final = 1000
"""Events that wait for one listener at most; who reads more slowly is cut."""

TICK: Final = 0.5
"""Seconds after which the hub looks up from the feed, whatever happens."""

CHECKED: Final = 1.0
"""Seconds between two looks at the keys of those who listen."""

PAGE: Final = 500
KNOWN: Final = 10_000
"""Jobs whose secrets are remembered."""


class Shown(msgspec.Struct, frozen=True):
    """An event as listeners see it, and as it was."""

    event: JobEvent
    view: EventView
    data: bytes


class Batch(msgspec.Struct, frozen=True):
    """Some events at once; `cursor` is where the feed goes on after them.

    `reset` is: some before these were missed.
    """

    cursor: str
    events: tuple[Shown, ...] = ()
    reset: bool = False


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Which events somebody wants; what is `None` matches all."""

    job_id: str | None = None
    user: str | None = None
    queue: str | None = None
    task: str | None = None

    def __call__(self, event: JobEvent) -> bool:
        """Whether an event is among them."""
        return (
            self.job_id in (None, event.job_id)
            and self.user in (None, event.user)
            and self.queue in (None, event.queue)
            and self.task in (None, event.task)
        )


class Listener:
    """One stream's place in the hub: what it wants, and what waits for it.

    Attributes:
        cut: called if it reads too slowly.
        over: it ends; `slow` says whether for that.
        hears: whether it takes what the hub hands on; not while it catches up by itself.
        asks: it wants to know when the hub is past all that was committed before it asked.
    """

    def __init__(self, wish: Wish, key_id: str = "") -> None:
        self.wish = wish
        self.key_id = key_id
        self.over = False
        self.slow = False
        self.hears = True
        self.asks = False
        self.cut: Callable[[], object] = lambda: None
        self._waiting: deque[Batch] = deque()
        self._size = 0
        self._bell = asyncio.Event()

    def put(self, batch: Batch) -> None:
        """Add what it will read next."""
        if not self.hears:
            return
        self._size += len(batch.events)
        if self._size > ROOM:
            self.slow = True
            self.end()
            self.cut()
            return
        if self._waiting and not (self._waiting[-1].events or self._waiting[-1].reset):
            self._waiting.pop()  # it only said where to go on from, and this one says so too
        self._waiting.append(batch)
        self._bell.set()

    def end(self) -> None:
        """Let it come to its end, and keep nothing for it."""
        self.over = True
        self._waiting.clear()
        self._bell.set()

    def hear(self, cursor: str) -> None:
        """Take what is handed on from now on; the hub stands at `cursor`."""
        self.hears, self.asks = True, False
        self.put(Batch(cursor))

    async def settled(self, timeout: float) -> Batch | None:
        """Once the hub is past all that is committed now: what it handed on meanwhile.

        `None` if that took more than `timeout` seconds, or if it is over.
        """
        self.asks = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.asks and not self.over:
                    self._bell.clear()
                    await self._bell.wait()
        if self.asks or self.over:
            return None
        batches = [*self._waiting]
        self._waiting.clear()
        self._bell.clear()
        self._size = 0
        events = tuple(event for batch in batches for event in batch.events)
        return Batch(batches[-1].cursor, events, any(batch.reset for batch in batches))

    async def next(self, timeout: float) -> Batch | None:
        """What comes next; `None` if nothing did within `timeout` seconds, or if it is over."""
        if not self._waiting and not self.over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._bell.wait()
        if not self._waiting:
            return None
        batch = self._waiting.popleft()
        self._size -= len(batch.events)
        if not self._waiting and not self.over:
            self._bell.clear()
        return batch


class Secrets(Protocol):
    """What must not be seen of a job."""

    def secrets(self, job: Job) -> frozenset[str]:
        """The texts that are hidden wherever the job is spoken of."""
        ...


class Hub:
    """Reads the feed while somebody listens, and hands on what each one wants.

    Args:
        store: gives the open store.
        views: says what must not be seen.
        closing: whether the service shuts down.

    Attributes:
        cut: how many listeners were cut, since they read too slowly.
    """

    def __init__(
        self,
        store: Callable[[], Awaitable[JobStore]],
        views: Secrets,
        closing: Callable[[], bool],
    ) -> None:
        self._store = store
        self._views = views
        self._closing = closing
        self._by_job: defaultdict[str, set[Listener]] = defaultdict(set)
        self._of_all: set[Listener] = set()
        self._reading: asyncio.Task[None] | None = None
        self._begun: asyncio.Future[None] | None = None
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._checked_at = 0.0
        self.cut = 0

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._of_all) + sum(map(len, self._by_job.values()))

    async def join(self, listener: Listener) -> None:
        """Hand on to `listener` all that is committed from now on.

        Raises:
            StoreError: the store cannot be reached.
        """
        if self._closing():
            listener.end()
            return
        self._group(listener).add(listener)
        if self._reading is None or self._reading.done():
            self._begun = asyncio.get_running_loop().create_future()
            self._reading = asyncio.create_task(self._read(self._begun))
        assert self._begun is not None  # noqa: S101 - narrows the type
        try:
            await asyncio.shield(self._begun)
        except BaseException:
            self.leave(listener)
            raise

    def leave(self, listener: Listener) -> None:
        """Hand on nothing more to `listener`."""
        self.cut += listener.slow
        group = self._group(listener)
        group.discard(listener)
        if listener.wish.job_id is not None and not group:
            self._by_job.pop(listener.wish.job_id, None)

    async def close(self) -> None:
        """End every stream, and read no more."""
        self._end_all()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _group(self, listener: Listener) -> set[Listener]:
        job_id = listener.wish.job_id
        return self._of_all if job_id is None else self._by_job[job_id]

    def _all(self) -> list[Listener]:
        return [*self._of_all, *(one for group in self._by_job.values() for one in group)]

    def _end_all(self) -> None:
        for listener in self._all():
            listener.end()

    async def _read(self, begun: asyncio.Future[None]) -> None:
        try:
            store = await self._store()
            cursor = (await store.feed(None, limit=1)).cursor
            begun.set_result(None)
            await self._follow(store, cursor)
        except StoreError as error:
            if not begun.done():
                begun.set_exception(error)
            else:
                logger.warning("event streams end, and will be asked for again: %s", error)
        except Exception as error:
            logger.exception("the feed of events cannot be read")
            if not begun.done():
                begun.set_exception(StoreError(str(error)))
        finally:
            self._end_all()

    async def _follow(self, store: JobStore, cursor: str) -> None:
        while self.listeners and not self._closing():
            asking = [listener for listener in self._of_all if listener.asks]
            page = await store.feed(cursor, limit=PAGE)
            cursor = page.cursor
            if page.events or page.reset:
                shown = await self.shown(store, page.events)
                self._hand_on(Batch(cursor, tuple(shown), page.reset))
            if not page.more:
                for listener in asking:
                    listener.hear(cursor)
                await self._check_keys(store)
                await store.wait_for_events(TICK)

    def _hand_on(self, batch: Batch) -> None:
        if batch.reset:
            for group in self._by_job.values():
                for listener in group:
                    listener.put(Batch(batch.cursor, reset=True))
        by_job: defaultdict[str, list[Shown]] = defaultdict(list)
        for one in batch.events:
            if one.event.job_id in self._by_job:
                by_job[one.event.job_id].append(one)
        for job_id, events in by_job.items():
            for listener in list(self._by_job[job_id]):
                listener.put(Batch(batch.cursor, tuple(events)))
        for listener in list(self._of_all):
            wanted = tuple(one for one in batch.events if listener.wish(one.event))
            listener.put(msgspec.structs.replace(batch, events=wanted))

    async def _check_keys(self, store: JobStore) -> None:
        """End the streams of those whose key is good no more."""
        now = time.monotonic()
        held = [listener for listener in self._all() if listener.key_id]
        if not held or now - self._checked_at < CHECKED:
            return
        self._checked_at = now
        live = {key.id for key in await store.keys() if is_live(key)}
        for listener in held:
            if listener.key_id not in live:
                listener.end()

    async def shown(self, store: JobStore, events: Iterable[JobEvent]) -> list[Shown]:
        """Events without their jobs' secrets."""
        events = list(events)
        await self._learn(store, {event.job_id for event in events if _has_text(event)})
        views = [event_view(one, self._known.get(one.job_id, frozenset())) for one in events]
        return [Shown(event, view, encode(view)) for event, view in zip(events, views, strict=True)]

    async def _learn(self, store: JobStore, ids: set[str]) -> None:
        new = sorted(ids - self._known.keys())
        if not new:
            return
        for job in await store.get(new):
            if job is not None:
                self._known[job.id] = self._views.secrets(job)
        while len(self._known) > KNOWN + len(ids):
            self._known.popitem(last=False)


def _has_text(event: JobEvent) -> bool:
    """Whether somebody's words are in an event, which may hold a secret."""
    said = event.progress is not None and event.progress.message
    return bool(event.detail or said) or event.kind is EventKind.LOG
