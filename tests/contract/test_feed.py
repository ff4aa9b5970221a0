"""The feed of all jobs, and a job's own events from a number on: no gap, no repeat."""

import asyncio
import time

import pytest

from ferryman.domain.errors import ConfigError
from ferryman.domain.job import JobEvent, Progress
from ferryman.domain.states import JobState, Reason
from ferryman.stores import JobStore
from tests.contract.conftest import OpenStore
from tests.contract.test_progress import update
from tests.contract.world import World, new_job

S = JobState
JOBS = 20


async def start(store: JobStore) -> str:
    """A cursor that stands where the feed is now."""
    page = await store.feed(None)
    assert page.events == ()
    return page.cursor


async def rest(store: JobStore, cursor: str, limit: int = 500) -> tuple[list[JobEvent], str]:
    """All that the feed has from a cursor on, and the cursor behind it."""
    events: list[JobEvent] = []
    while True:
        page = await store.feed(cursor, limit=limit)
        assert not page.reset
        cursor = page.cursor
        if not page.events:
            return events, cursor
        events += page.events


def told(events: list[JobEvent]) -> list[tuple[str, JobState]]:
    """What happened to which job."""
    return [(event.job_id, event.target) for event in events]


async def test_the_feed_tells_what_happens_from_now_on(world: World) -> None:
    await world.submit("before")
    cursor = await start(world.store)
    assert (await rest(world.store, cursor))[0] == []
    await world.submit("a", queue="q-a", task="read", user="anna")
    (delivery,) = await world.claim("q-a")
    await world.finish(delivery)
    events, cursor = await rest(world.store, cursor)
    assert told(events) == [("a", S.QUEUED), ("a", S.RUNNING), ("a", S.SUCCEEDED)]
    assert {(event.queue, event.task, event.user) for event in events} == {("q-a", "read", "anna")}
    assert events == await world.store.events("a")
    assert (await rest(world.store, cursor))[0] == []
    await world.submit("b")
    assert told((await rest(world.store, cursor))[0]) == [("b", S.QUEUED)]


async def test_an_old_cursor_tells_the_same_again(world: World) -> None:
    cursor = await start(world.store)
    await world.submit(*(f"job-{number}" for number in range(JOBS)))
    events, _ = await rest(world.store, cursor)
    assert (await rest(world.store, cursor))[0] == events


@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_pages_join_without_gap_or_repeat(world: World, limit: int) -> None:
    cursor = await start(world.store)
    await world.submit(*(f"job-{number}" for number in range(JOBS)))
    for delivery in await world.claim(limit=JOBS):
        await world.finish(delivery)
    events, _ = await rest(world.store, cursor, limit)
    assert len(events) == 3 * JOBS
    for number in range(JOBS):
        own = [event for event in events if event.job_id == f"job-{number}"]
        assert own == await world.store.events(f"job-{number}")


async def test_a_page_says_whether_there_is_more(world: World) -> None:
    cursor = await start(world.store)
    await world.submit(*(f"job-{number}" for number in range(JOBS)))
    page = await world.store.feed(cursor, limit=JOBS // 2)
    assert page.more
    pages = [page]
    while pages[-1].more and len(pages) <= 4:
        await world.submit(f"meanwhile-{len(pages)}")
        pages.append(await world.store.feed(pages[-1].cursor, limit=JOBS // 2))
    # Steady traffic does not keep whoever reads on from coming to an end.
    assert len(pages) <= 4
    found = [event.job_id for page in pages for event in page.events]
    assert len(set(found)) == len(found) == JOBS + len(pages) - 1
    await world.submit("later")
    assert not (await world.store.feed(pages[-1].cursor)).more


async def test_readers_do_not_disturb_each_other(world: World) -> None:
    first = await start(world.store)
    await world.submit("a")
    second = await start(world.store)
    await world.submit("b")
    assert told((await rest(world.store, first))[0]) == [("a", S.QUEUED), ("b", S.QUEUED)]
    assert told((await rest(world.store, second))[0]) == [("b", S.QUEUED)]


async def test_changes_in_several_processes_are_all_told(
    world: World, open_store: OpenStore
) -> None:
    others = [await open_store() for _ in range(2)]
    cursor = await start(world.store)

    async def work(store: JobStore, name: str) -> None:
        mine = World(store, world.clock)
        for number in range(5):
            await mine.submit(*(f"{name}-{number}-{part}" for part in range(3)), queue=name)
            for delivery in await mine.claim(name, limit=3):
                await mine.finish(delivery)

    events: list[JobEvent] = []

    async def read() -> None:
        nonlocal cursor
        while len(events) < 3 * 3 * 15:
            more, cursor = await rest(world.store, cursor, 7)
            events.extend(more)
            await asyncio.sleep(0)

    stores = [world.store, *others]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(read())
        for number, store in enumerate(stores):
            group.create_task(work(store, f"w{number}"))
    assert (await rest(world.store, cursor))[0] == []
    keys = [(event.job_id, event.seq) for event in events]
    assert len(set(keys)) == len(keys) == 3 * 3 * 15
    for job_id in {event.job_id for event in events}:
        own = [event.target for event in events if event.job_id == job_id]
        assert own == [S.QUEUED, S.RUNNING, S.SUCCEEDED]


async def test_a_new_queue_is_in_the_feed_at_once(world: World) -> None:
    await world.submit("a", queue="one")
    cursor = await start(world.store)
    await world.submit("b", queue="two")
    await world.submit("c", queue="three")
    events, cursor = await rest(world.store, cursor)
    assert sorted(told(events)) == [("b", S.QUEUED), ("c", S.QUEUED)]
    await world.submit("d", queue="two")
    assert told((await rest(world.store, cursor))[0]) == [("d", S.QUEUED)]


async def test_garbage_is_no_cursor(world: World) -> None:
    for cursor in ("", "x", "1.", "-1", "1 ", "9" * 40, "é", "{}", "../x"):
        with pytest.raises(ConfigError, match="cursor"):
            await world.store.feed(cursor)


async def test_a_cursor_fits_into_a_line(world: World) -> None:
    await world.submit("a", queue="q-a")
    cursor = await start(world.store)
    await world.submit("b", queue="q-b")
    for text in (cursor, (await rest(world.store, cursor))[1]):
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text


async def test_whoever_waits_for_events_is_woken(world: World, open_store: OpenStore) -> None:
    other = await open_store()
    cursor = await start(world.store)
    waiting = asyncio.create_task(world.store.wait_for_events(30.0))
    await asyncio.sleep(0)
    await other.submit([new_job("a")])
    events: list[JobEvent] = []
    began = time.monotonic()
    async with asyncio.timeout(10):
        while not events:
            await waiting
            events, cursor = await rest(world.store, cursor)
            waiting = asyncio.create_task(world.store.wait_for_events(30.0))
    waiting.cancel()
    assert told(events) == [("a", S.QUEUED)]
    assert time.monotonic() - began < 10.0


async def test_waiting_for_events_ends(world: World) -> None:
    await start(world.store)
    async with asyncio.timeout(10):
        await world.store.wait_for_events(0.05)


# -- a job's own events --------------------------------------------------------------------------


async def test_a_job_is_followed_from_a_number_on(world: World) -> None:
    delivery = await world.running()
    seen = await world.store.events(delivery.job_id)
    assert await world.store.events(delivery.job_id, after=seen[-1].seq) == []
    assert await world.store.events(delivery.job_id, after=seen[0].seq) == seen[1:]
    assert await world.store.events(delivery.job_id, limit=1) == seen[:1]
    await world.store.progress([update(delivery, Progress(1, 2))])
    (report,) = await world.store.events(delivery.job_id, after=seen[-1].seq)
    assert (report.kind, report.progress) == ("progress", Progress(1, 2))
    await world.finish(delivery)
    (ended,) = await world.store.events(delivery.job_id, after=report.seq)
    assert (ended.kind, ended.target) == ("state", S.SUCCEEDED)


async def test_progress_is_told_and_the_newest_is_kept(world: World) -> None:
    cursor = await start(world.store)
    delivery = await world.running("a", user="anna")
    for number in range(3):
        world.clock.advance(1)
        await world.store.progress([update(delivery, Progress(number, 3, f"page {number}"))])
        events, cursor = await rest(world.store, cursor)
        report = events[-1]
        assert (report.kind, report.progress) == ("progress", Progress(number, 3, f"page {number}"))
        assert (report.source, report.target) == (S.RUNNING, S.RUNNING)
        assert (report.reason, report.token) == (Reason.CLAIMED, delivery.token)
        assert (report.queue, report.user) == (delivery.queue, "anna")
        assert report.at == world.clock.moment()
        assert report.worker is not None
    kinds = [event.kind for event in await world.store.events("a")]
    assert kinds == ["state", "state", "progress"]


async def test_a_report_under_an_old_token_is_not_told(world: World) -> None:
    delivery = await world.running("a")
    cursor = await start(world.store)
    stale = update(delivery, Progress(1), token=delivery.token - 1)
    assert await world.store.progress([stale]) == ["stale"]
    assert (await rest(world.store, cursor))[0] == []
    assert len(await world.store.events("a")) == 2


async def test_progress_is_kept_across_attempts(world: World) -> None:
    delivery = await world.running("a")
    await world.store.progress([update(delivery, Progress(1, 2))])
    await world.finish(delivery, S.QUEUED)
    await world.again(delivery)
    kinds = [event.kind for event in await world.store.events("a")]
    assert kinds == ["state", "state", "progress", "state", "state"]


async def test_a_deleted_job_leaves_no_report(world: World) -> None:
    delivery = await world.running("a", queue="q-a")
    await world.store.progress([update(delivery, Progress(1, 2))])
    await world.finish(delivery)
    await world.store.discard(["a"])
    await world.submit("a", queue="q-a")
    assert [event.kind for event in await world.store.events("a")] == ["state"]
