"""From the feed to the hub: nothing is missed or told twice, whatever happens at which moment."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ferryman.domain.job import JobEvent
from ferryman.domain.states import JobState, Reason
from ferryman.http import following, hub
from ferryman.http.following import follow_all
from ferryman.http.hub import ROOM, Batch, Hub, Listener, Wish
from ferryman.stores.base import FeedPage

QUEUES = ("a", "b", "c")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class FeedOfQueues:
    """A store's feed, queue by queue, and none at the same moment as another: as on Valkey."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.events: dict[str, list[JobEvent]] = {queue: [] for queue in QUEUES}
        self.count = 0

    def happen(self, queue: str) -> None:
        """An event is committed."""
        self.count += 1
        event = JobEvent(
            job_id=f"job-{self.count}",
            seq=self.count,
            at=MOMENT,
            source=None,
            target=JobState.QUEUED,
            reason=Reason.SUBMITTED,
            queue=queue,
        )
        self.events[queue].append(event)

    async def pause(self) -> None:
        """Let others go on, for a while that is drawn."""
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    async def feed(self, cursor: str | None, *, limit: int) -> FeedPage:
        """A share of each queue."""
        places = dict.fromkeys(QUEUES, 0) if cursor is None else msgspec.json.decode(cursor)
        found: list[JobEvent] = []
        more = False
        for queue in QUEUES:
            await self.pause()
            own = self.events[queue]
            end = len(own) if cursor is None else places[queue] + max(1, limit // len(QUEUES))
            found += [] if cursor is None else own[places[queue] : end]
            places[queue] = min(end, len(own))
            more |= places[queue] < len(own)
        await self.pause()
        return FeedPage(tuple(found), msgspec.json.encode(places).decode(), more=more)

    async def wait_for_events(self, _: float) -> None:
        """Wait, sometimes until long after the event."""
        for _ in range(self.random.choice((1, 10, 40))):
            await asyncio.sleep(0)


class SteadyTraffic(FeedOfQueues):
    """Whoever looks finds something that has just happened."""

    async def feed(self, cursor: str | None, *, limit: int) -> FeedPage:
        page = await super().feed(cursor, limit=limit)
        self.happen(self.random.choice(QUEUES))
        return page


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two events a queue."""
    for module in (hub, following):
        monkeypatch.setattr(module, "PAGE", 2 * len(QUEUES))


@pytest.fixture
async def served() -> AsyncIterator[Any]:
    """Makes services of a store."""
    hubs: list[Hub] = []

    def serve(store: Any) -> Any:
        async def opened() -> Any:
            return store

        made = Hub(opened, SimpleNamespace(secrets=lambda _: frozenset()), lambda: False)
        hubs.append(made)
        return SimpleNamespace(store=opened, hub=made)

    yield serve
    for one in hubs:
        await one.close()


async def read(
    service: Any, store: FeedOfQueues, last: str, total: int, *, leaving: float
) -> list[int]:
    """The numbers of all events that a reader is told who leaves and comes again now and then."""
    told: list[int] = []
    while len(told) < total:
        listener = Listener(Wish())
        frames = follow_all(service, listener, last)
        async for frame in frames:
            last = frame.id or last
            if frame.event:
                told += (one["seq"] for one in msgspec.json.decode(frame.data))
            await store.pause()
            if len(told) >= total or store.random.random() < leaving:
                break
        await frames.aclose()
        service.hub.leave(listener)
    return told


async def stormed(serve: Any, seed: int, total: int = 400) -> list[int]:
    """What two readers are told while it happens."""
    store = FeedOfQueues(seed)
    service = serve(store)
    first = (await store.feed(None, limit=1)).cursor

    async def write() -> None:
        while store.count < total:
            for _ in range(store.random.choice((1, 1, 1, 1, 1, 12))):
                if store.count < total:
                    store.happen(store.random.choice(QUEUES))
            for _ in range(store.random.choice((1, 5, 30))):
                await asyncio.sleep(0)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        steady = group.create_task(read(service, store, first, total, leaving=0.0))
        leaving = group.create_task(read(service, store, first, total, leaving=0.5))
        group.create_task(write())
    return steady.result() + leaving.result()


def faults(told: list[int], total: int = 400) -> int:
    """How many events two readers missed or were told twice."""
    return sum(abs(told.count(number) - 2) for number in range(1, total + 1))


@pytest.mark.parametrize("seed", range(20))
async def test_no_gap_and_no_repeat(served: Any, seed: int) -> None:
    assert faults(await stormed(served, seed)) == 0


async def _at_once(listener: Listener, _: float) -> Batch:
    """Planted: does not wait until the hub is past what was read."""
    listener.hear("")
    await asyncio.sleep(0)
    batches = [*listener._waiting]
    listener._waiting.clear()
    listener._size = 0
    return Batch(batches[-1].cursor, tuple(one for batch in batches for one in batch.events))


def _settled_anywhere(self: Hub, batch: Batch) -> None:
    """Planted: whoever asks hears from the next look on, though that began before he asked."""
    for listener in self._of_all:
        if listener.asks:
            listener.hear(batch.cursor)
    hand_on(self, batch)


hand_on = Hub._hand_on


@pytest.mark.parametrize(
    ("owner", "name", "planted"),
    [(Listener, "settled", _at_once), (Hub, "_hand_on", _settled_anywhere)],
)
async def test_who_trusts_the_hub_too_soon_is_caught(
    served: Any, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, planted: Any
) -> None:
    monkeypatch.setattr(owner, name, planted)
    found = 0
    for seed in range(20):
        found += faults(await stormed(served, seed))
    assert found > 0


async def test_steady_traffic_does_not_keep_a_reader_from_the_hub(served: Any) -> None:
    store = SteadyTraffic()
    for _ in range(ROOM):
        store.happen("a")
    service, listener = served(store), Listener(Wish())
    frames: Any = follow_all(
        service, listener, msgspec.json.encode(dict.fromkeys(QUEUES, 0)).decode()
    )
    told: list[int] = []
    async with asyncio.timeout(60):
        async for frame in frames:
            if frame.event:
                told += (one["seq"] for one in msgspec.json.decode(frame.data))
            if len(told) > 5 * ROOM:
                break
    assert listener.hears, "it reads the feed by itself for ever"
    assert not listener.slow
    assert len(told) == len(set(told))
    assert "told" not in frames.ag_frame.f_locals, "it remembers what it was told, for nothing"
    await frames.aclose()
    service.hub.leave(listener)
