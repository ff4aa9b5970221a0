"""Pages that look at a bounded number of jobs, and text that databases dislike."""

import pytest

from ferryman.domain.job import Job
from ferryman.domain.states import JobState
from ferryman.stores.base import JobFilter
from ferryman.stores.sql import readers
from ferryman.stores.sql.store import SqlStore
from tests.clock import FakeClock
from tests.contract.world import World, new_job


@pytest.fixture
def world(store: SqlStore, clock: FakeClock) -> World:
    return World(store, clock)


async def test_a_page_looks_at_a_bounded_number_of_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "SCAN_LIMIT", 10)
    for number in range(35):
        await world.submit(f"job-{number:02}", task="rare" if number in (3, 4) else "usual")
        world.clock.advance(1)
    page = await world.store.page(JobFilter(task="rare"), limit=5)
    assert (page.jobs, page.partial) == ((), True)
    assert page.cursor is not None
    found = await world.all_pages(JobFilter(task="rare"))
    assert [job.id for job in found] == ["job-04", "job-03"]
    everything = await world.all_pages(limit=4)
    assert len({job.id for job in everything}) == len(everything) == 35
    last = await world.store.page(JobFilter(task="rare"), limit=5, cursor=_end(page.cursor))
    assert not last.partial


async def test_a_reader_is_asked_of_a_bounded_number_of_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "ASK_LIMIT", 10)
    monkeypatch.setattr(readers, "STRETCH", 3)
    for number in range(25):
        await world.submit(f"job-{number:02}")
        world.clock.advance(1)
    asked: list[str] = []

    def accepts(job: Job) -> bool:
        asked.append(job.id)
        return job.id in ("job-24", "job-18", "job-04")

    pages = [await world.store.page(JobFilter(), limit=5, accepts=accepts)]
    while (cursor := pages[-1].cursor) is not None:
        pages.append(await world.store.page(JobFilter(), limit=5, cursor=cursor, accepts=accepts))
    assert asked == [f"job-{number:02}" for number in reversed(range(25))]
    found = [[job.id for job in page.jobs] for page in pages]
    assert found == [["job-24", "job-18"], [], ["job-04"]]
    assert [page.partial for page in pages] == [True, True, False]


def _end(cursor: str) -> str:
    """A cursor before the oldest job."""
    return "1." + cursor.partition(".")[2]


async def test_text_that_no_database_takes_is_mended(world: World) -> None:
    delivery = await world.running()
    odd = "a\x00b\ud800c"
    await world.finish(delivery, JobState.FAILED, detail=odd)
    job = await world.job(delivery.job_id)
    assert (job.detail[0], job.detail[2], job.detail[-1]) == ("a", "b", "c")
    await world.store.retry([job.id], by=odd)
    await world.store.cancel([job.id], by=odd)
    assert await world.state(job.id) is JobState.CANCELLED


async def test_the_databases_own_clock_is_used(ticking: SqlStore, clock: FakeClock) -> None:
    now = clock.moment()  # the host's clock when the test began, and the server is on this host
    await ticking.submit([new_job("a", delay=100.0)])
    (job,) = await ticking.get(["a"])
    assert job is not None
    assert abs((job.created_at - now).total_seconds()) < 30
    assert (job.due_at - job.created_at).total_seconds() == 100
    assert abs((await ticking.now() - now).total_seconds()) < 30
