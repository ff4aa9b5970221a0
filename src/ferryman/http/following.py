"""What a stream says: from where its reader left off, without a gap and without a repeat.

A reader joins the hub first and reads what is kept second, so nothing can happen in between. What
comes both ways is told apart by the job and the number of the event.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from ferryman.domain.job import JobEvent
from ferryman.http.hub import PAGE, Batch, Listener
from ferryman.http.service import Service

KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a stream says that it is still there."""

OVERLAP: Final = 20_000
"""Events that are remembered as told, while the hub may bring them again."""


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
    await hub.join(listener)
    last = cursor or ""
    if cursor is None:  # so that whoever is cut before the first event knows where to go on
        last = (await store.feed(None, limit=1)).cursor
        yield Frame(id=last)
    told: OrderedDict[tuple[str, int], None] = OrderedDict()
    while cursor is not None:
        page = await store.feed(cursor, limit=PAGE)
        wanted = [event for event in page.events if listener.wish(event)]
        batch = Batch(page.cursor, tuple(await hub.shown(store, wanted)), page.reset)
        for event in wanted:
            told[event.job_id, event.seq] = None
        while len(told) > OVERLAP:
            told.popitem(last=False)
        for frame in _frames(batch) or [Frame(id=page.cursor)]:
            yield frame
        last = page.cursor
        cursor = page.cursor if page.events else None
    sent = time.monotonic()
    while not listener.over:
        found = await listener.next(KEEP_ALIVE)
        frames: list[Frame] = []
        if found is not None:
            last = found.cursor
            fresh = tuple(one for one in found.events if not _forget(told, one.event))
            frames = _frames(msgspec.structs.replace(found, events=fresh))
        if not frames and (found is None or time.monotonic() - sent >= KEEP_ALIVE):
            frames = [Frame(id=last)]
        for frame in frames:
            yield frame
            sent = time.monotonic()


def _frames(batch: Batch) -> list[Frame]:
    frames = []
    if batch.reset:
        frames.append(Frame(id=batch.cursor, event="reset", data=b"{}"))
    if batch.events:
        data = b"[" + b",".join(one.data for one in batch.events) + b"]"
        frames.append(Frame(id=batch.cursor, event="events", data=data))
    return frames


def _forget(told: OrderedDict[tuple[str, int], None], event: JobEvent) -> bool:
    """Whether an event was told before; it does not come a third time."""
    return bool(told) and told.pop((event.job_id, event.seq), event) is None
