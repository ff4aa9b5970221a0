"""What a stream says: from where its reader left off, without a gap and without a repeat.

A reader of one job joins the hub first and reads what is kept second, so nothing can happen in
between; what comes both ways is told apart by the number of the event.

A reader of all jobs catches up by himself for as long as there is more, and the hub keeps nothing
for him. Once it is past all that he read, he hears what it hands on from there, and reads a last
time himself. What that told is all that can come twice. It is remembered until the hub is past it,
too; before that the hub's cursors may be behind his, and who went on from one would be told again.
"""

import time
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from ferryman.http.hub import PAGE, Batch, Listener
from ferryman.http.service import Service

KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a stream says that it is still there."""


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a stream.

    Attributes:
        id: where to go on after it. Empty: where it was.
        event: its kind; empty is: nothing but a sign of life.
        data: JSON.
    """

    id: str = ""
    event: str = ""
    data: bytes = b""


async def follow_job(
    service: Service, listener: Listener, after: int
) -> AsyncGenerator[Frame, None]:
    """What happened to one job after the event `after`, and what happens from now on.

    Raises:
        StoreError: the store cannot be reached.
    """
    store, hub = await service.store(), service.hub
    job_id = listener.wish.job_id or ""
    await hub.join(listener)
    kept = True
    while not listener.over:
        while kept and not listener.over:
            events = await store.events(job_id, after=after, limit=PAGE)
            for one in await hub.shown(store, events):
                after = one.event.seq
                yield Frame(id=str(after), event=one.event.kind.value, data=one.data)
            kept = len(events) == PAGE
        batch = await listener.next(KEEP_ALIVE)
        if batch is None:
            yield Frame()
            continue
        kept = batch.reset
        for one in batch.events:
            if one.event.seq > after:
                after = one.event.seq
                yield Frame(id=str(after), event=one.event.kind.value, data=one.data)


async def follow_all(
    service: Service, listener: Listener, cursor: str | None
) -> AsyncGenerator[Frame, None]:
    """What happened to the jobs that a listener wants, after `cursor`, and what happens.

    Each frame holds all that one look at the feed found, for only there can the reader go on.

    Raises:
        StoreError: the store cannot be reached.
        ConfigError: the cursor is not the store's.
    """
    store, hub = await service.store(), service.hub
    listener.hears = False
    await hub.join(listener)
    if cursor is None:  # so that whoever is cut before the first event knows where to go on
        cursor = (await store.feed(None, limit=1)).cursor
        yield Frame(id=cursor)
    told: set[tuple[str, int]] = set()
    news: Batch | None = None
    while not listener.over:
        heard = listener.hears
        page = await store.feed(cursor, limit=PAGE)
        wanted = [event for event in page.events if listener.wish(event)]
        if heard:
            told.update((event.job_id, event.seq) for event in wanted)
        cursor = page.cursor
        batch = Batch(cursor, tuple(await hub.shown(store, wanted)), page.reset)
        for frame in _frames(batch) or [Frame(id=cursor)]:
            yield frame
        if page.more:
            continue
        while (news := await listener.settled(KEEP_ALIVE)) is None and not listener.over:
            yield Frame(id=cursor)
        if heard:
            break
    if news is not None:
        fresh = (one for one in news.events if (one.event.job_id, one.event.seq) not in told)
        news = msgspec.structs.replace(news, events=tuple(fresh))
    del told
    async for frame in _heard(listener, news, cursor):
        yield frame


async def _heard(
    listener: Listener, news: Batch | None, cursor: str
) -> AsyncGenerator[Frame, None]:
    """What the hub hands on, beginning with `news`, and signs of life beside it."""
    sent = time.monotonic()
    while not listener.over:
        frames: list[Frame] = []
        if news is not None:
            cursor = news.cursor
            frames = _frames(news)
        if not frames and (news is None or time.monotonic() - sent >= KEEP_ALIVE):
            frames = [Frame(id=cursor)]
        for frame in frames:
            yield frame
            sent = time.monotonic()
        news = await listener.next(KEEP_ALIVE)


def _frames(batch: Batch) -> list[Frame]:
    frames = []
    if batch.reset:
        frames.append(Frame(id=batch.cursor, event="reset", data=b"{}"))
    if batch.events:
        data = b"[" + b",".join(one.data for one in batch.events) + b"]"
        frames.append(Frame(id=batch.cursor, event="events", data=data))
    return frames
