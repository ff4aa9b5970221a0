"""Following one job from its application's side."""

import asyncio
import itertools
import threading

import pytest

from ferryman import Ferryman, Task
from ferryman.domain.errors import InvalidName, JobNotFound, StoreUnavailable
from ferryman.domain.job import Delivery, JobEvent, LogLine, Progress
from ferryman.stores.base import ProgressUpdate
from tests.client import work


@pytest.fixture
def read(app: Ferryman) -> Task[..., int]:
    """A task that nobody runs."""

    @app.task
    def read(number: int) -> int:
        return number

    return read


async def report(app: Ferryman, delivery: Delivery, number: int) -> None:
    """What a running job tells."""
    store = await app.store()
    update = ProgressUpdate(
        job_id=delivery.job_id,
        queue=delivery.queue,
        token=delivery.token,
        progress=Progress(number),
        lines=(LogLine("info", f"line {number}"),),
    )
    assert await store.progress([update]) == ["applied"]


def told(events: list[JobEvent]) -> list[str]:
    """Each event in a word."""
    return [
        event.line.text if event.line else str(event.progress or event.target) for event in events
    ]


def test_a_job_is_followed_to_its_end(app: Ferryman, read: Task[..., int]) -> None:
    job = read.enqueue(1)
    seen: list[JobEvent] = []

    def follow() -> None:
        seen.extend(app.jobs.watch(job.id))

    follower = threading.Thread(target=follow)
    follower.start()
    [delivery] = app.run(work.claim(app))
    for number in range(3):
        app.run(report(app, delivery, number))
    app.run(work.succeed(app, delivery, 1))
    follower.join(30)
    assert not follower.is_alive()
    words = told(seen)
    assert words[:2] == ["queued", "running"]
    assert words[-1] == "succeeded"
    assert [word for word in words if word.startswith("line")] == ["line 0", "line 1", "line 2"]
    assert [event.seq for event in seen] == sorted({event.seq for event in seen})
    assert seen[-2].progress == Progress(2) or seen[-2].line is not None
    assert [event.seq for event in app.jobs.watch(job.id, after=seen[-3].seq)] == [
        event.seq for event in job.events() if event.seq > seen[-3].seq
    ]
    assert list(app.jobs.watch(job.id, after=seen[-1].seq)) == []


def test_a_watch_may_be_left(app: Ferryman, read: Task[..., int]) -> None:
    job = read.enqueue(1)
    events = app.jobs.watch(job.id)
    assert next(events).target == "queued"
    assert next(iter(itertools.islice(app.jobs.watch(job.id), 1))).target == "queued"
    del events


def test_a_job_that_is_not_there_cannot_be_watched(app: Ferryman) -> None:
    with pytest.raises(JobNotFound):
        next(iter(app.jobs.watch("nobody")))
    with pytest.raises(InvalidName):
        app.jobs.watch("no body")


async def test_a_watcher_outlives_an_outage_and_misses_nothing(
    app: Ferryman, read: Task[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await read.aenqueue(1)
    store = await app.store()
    events, away = store.events, True

    async def unreachable(*args: object, **options: object) -> list[JobEvent]:
        if away:
            raise StoreUnavailable("away")
        return await events(*args, **options)  # type: ignore[arg-type]

    watch = app.jobs.awatch(job.id)
    assert (await anext(watch)).target == "queued"
    monkeypatch.setattr(store, "events", unreachable)
    following = asyncio.ensure_future(anext(watch))
    [delivery] = await work.claim(app)
    await asyncio.wait([following], timeout=0.3)
    assert not following.done()
    away = False
    async with asyncio.timeout(30):
        assert (await following).target == "running"
        await work.succeed(app, delivery, 1)
        assert [event.target async for event in watch] == ["succeeded"]
    await app.aclose()


async def test_a_store_that_was_never_reached_is_an_error(
    app: Ferryman, read: Task[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*args: object, **options: object) -> list[JobEvent]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(await app.store(), "events", unreachable)
    with pytest.raises(StoreUnavailable):
        await anext(app.jobs.awatch("a"))
    await app.aclose()
