"""Reading: by id, by page, by count."""

from collections import Counter
from itertools import product

import pytest

from ferryman.codec import encode_args
from ferryman.domain.errors import ConfigError
from ferryman.domain.job import Job
from ferryman.domain.states import JobState
from ferryman.stores.base import JobFilter
from tests.contract.world import World, each, new_job

FILTERS = {
    "all": JobFilter(),
    "queue": JobFilter(queue="q1"),
    "state": JobFilter(state=JobState.QUEUED),
    "queue and state": JobFilter(queue="q0", state=JobState.SUCCEEDED),
    "queue and no such state": JobFilter(queue="q0", state=JobState.WAITING),
    "task": JobFilter(task="t1"),
    "user": JobFilter(user="user:1"),
    "tag": JobFilter(tag="odd"),
    "task, user and state": JobFilter(task="t0", user="user:0", state=JobState.QUEUED),
    "no such queue": JobFilter(queue="none"),
    "no such task": JobFilter(task="none"),
    "part of a tag": JobFilter(tag="od"),
    "pattern in a user": JobFilter(user="user:%"),
}


async def _populate(world: World, number: int = 60) -> None:
    """Jobs whose queue, task, user and tags differ, one second apart; some have ended."""
    for index in range(number):
        job = new_job(
            f"job-{index:03}",
            queue=f"q{index % 3}",
            task=f"t{index % 2}",
            user=f"user:{index % 4}" if index % 4 < 3 else None,
            tags=("odd", "x") if index % 2 else ("even",),
            priority=index % 5,
        )
        await world.store.submit([job])
        world.clock.advance(1)
    for delivery in await world.claim("q0", limit=10):
        await world.finish(delivery)


def _matches(where: JobFilter, index: int, state: JobState) -> bool:
    user = f"user:{index % 4}" if index % 4 < 3 else None
    return (
        where.state in (None, state)
        and where.queue in (None, f"q{index % 3}")
        and where.task in (None, f"t{index % 2}")
        and where.user in (None, user)
        and where.tag in (None, *(("odd", "x") if index % 2 else ("even",)))
    )


async def test_get_keeps_the_order_of_its_ids(world: World) -> None:
    await world.submit("a", "b")
    jobs = await world.store.get(["b", "missing", "a", "b"])
    assert [job.id if job else None for job in jobs] == ["b", None, "a", "b"]
    assert await world.store.get([]) == []


async def test_get_takes_many_ids(world: World) -> None:
    ids = [f"job-{number:04}" for number in range(1200)]
    await world.submit(*ids)
    jobs = await world.store.get(list(reversed(ids)))
    assert [job.id for job in jobs if job] == list(reversed(ids))


async def test_filters_choose_exactly(world: World) -> None:
    await _populate(world, 24)
    states = {job.id: job.state for job in await world.all_pages()}
    assert len(states) == 24
    for name, where in FILTERS.items():
        expected = sorted(
            job_id for job_id, state in states.items() if _matches(where, int(job_id[4:]), state)
        )
        found = await world.all_pages(where, limit=7)
        assert sorted(job.id for job in found) == expected, name
        assert await world.store.count(where) == len(expected), name


async def test_moments_of_creation_bound_the_search(world: World) -> None:
    await _populate(world, 12)  # job-k was made at 12 - k seconds before now
    where = JobFilter(since=world.clock.moment(-8.5), until=world.clock.moment(-3.5))
    found = await world.all_pages(where)
    assert sorted(job.id for job in found) == [f"job-{index:03}" for index in range(4, 9)]
    assert await world.store.count(where) == 5
    assert await world.store.count(JobFilter(since=world.clock.moment())) == 0
    assert await world.store.count(JobFilter(until=world.clock.moment(-100))) == 0


async def test_text_is_looked_for_in_the_arguments_as_they_are_stored(world: World) -> None:
    texts = ('plain "quoted"', "50% of_it", "a*?[b]\\", "\x00 \n é", "PLAIN")
    jobs = [new_job(f"job-{at}", args=encode_args((text,), {})) for at, text in enumerate(texts)]
    await world.store.submit(jobs)
    wanted = {'"quoted"': [0], "%": [1], "_": [1], "*?[b]\\": [2], "\x00 \n": [3], "plain": [0]}
    for text, found in {**wanted, "none": [], "é": [3]}.items():
        where = JobFilter(text=text)
        ids = sorted(job.id for job in await world.all_pages(where, limit=1))
        assert ids == [f"job-{at}" for at in found], text
        assert await world.store.count(where) == len(found), text


async def test_a_reader_is_asked_of_each_job(world: World) -> None:
    await _populate(world, 30)
    wanted = {f"job-{index:03}" for index in range(0, 30, 7)}
    for where in (JobFilter(), JobFilter(queue="q1"), JobFilter(state=JobState.QUEUED)):
        matching = {job.id for job in await world.all_pages(where)}
        for limit in (1, 2, 5, 50):
            found = [job.id for job in await _accepted(world, where, wanted, limit)]
            assert len(found) == len(set(found)), (where, limit)
            assert set(found) == matching & wanted, (where, limit)


async def _accepted(world: World, where: JobFilter, wanted: set[str], limit: int) -> list[Job]:
    jobs: list[Job] = []
    cursor = None
    while True:
        page = await world.store.page(
            where, limit=limit, cursor=cursor, accepts=lambda job: job.id in wanted
        )
        assert len(page.jobs) <= limit
        jobs += page.jobs
        cursor = page.cursor
        if cursor is None:
            return jobs


async def test_pages_are_complete_and_never_repeat(world: World) -> None:
    await _populate(world)
    filters = (JobFilter(), JobFilter(queue="q1"), JobFilter(state=JobState.QUEUED))
    for where, limit in product(filters, (1, 7, 60, 100)):
        found = [job.id for job in await world.all_pages(where, limit=limit)]
        assert len(found) == len(set(found)) == await world.store.count(where), (where, limit)


async def test_jobs_of_one_moment_are_all_there(world: World) -> None:
    await world.submit(*(f"job-{number:02}" for number in range(40)))
    for where in (JobFilter(), JobFilter(queue="default"), JobFilter(state=JobState.QUEUED)):
        found = Counter(job.id for job in await world.all_pages(where, limit=7))
        assert len(found) == 40
        assert set(found.values()) == {1}


async def test_the_newest_come_first_in_a_queue_and_state(world: World) -> None:
    for number in range(9):
        await world.submit(f"job-{number}")
        world.clock.advance(1)
    where = JobFilter(queue="default", state=JobState.QUEUED)
    found = [job.id for job in await world.all_pages(where, limit=4)]
    assert found == [f"job-{number}" for number in reversed(range(9))]


async def test_jobs_that_come_in_while_paging_disturb_nobody(world: World) -> None:
    await _populate(world, 20)
    page = await world.store.page(JobFilter(), limit=8)
    seen = [job.id for job in page.jobs]
    number = 0
    while page.cursor is not None:
        await world.submit(f"new-{number}")
        number += 1
        page = await world.store.page(JobFilter(), limit=8, cursor=page.cursor)
        seen += [job.id for job in page.jobs]
    assert len(seen) == len(set(seen))
    assert set(seen) >= {f"job-{index:03}" for index in range(20)}


async def test_an_empty_store_has_one_empty_page(world: World) -> None:
    page = await world.store.page(JobFilter())
    assert (page.jobs, page.cursor) == ((), None)
    assert await world.store.count(JobFilter()) == 0


async def test_a_page_that_holds_all_is_the_last(world: World) -> None:
    await world.submit("a", "b")
    page = await world.store.page(JobFilter(queue="default", state=JobState.QUEUED), limit=10)
    assert len(page.jobs) == 2
    assert page.cursor is None


@each("", "garbage", "0", "-1", "{}", "null", "é", "a" * 500, "W10=", "eyJhIjoxfQ==", "%00")
async def test_a_cursor_of_someone_else_is_refused(world: World, cursor: str) -> None:
    await world.submit(world.fresh_id())
    filters = [JobFilter(), JobFilter(queue="default"), JobFilter(state=JobState.QUEUED)]
    for where in filters:
        with pytest.raises(ConfigError):
            await world.store.page(where, cursor=cursor)


async def test_a_job_in_every_state_is_found_by_it(world: World) -> None:
    ids = {state: await world.bring(state) for state in JobState}
    for state, job_id in ids.items():
        (job,) = await world.all_pages(JobFilter(state=state))
        assert job.id == job_id
        by_queue = await world.all_pages(JobFilter(state=state, queue=f"q-{job_id}"))
        assert [one.id for one in by_queue] == [job_id]
    for state, other in product(JobState, JobState):
        where = JobFilter(state=state, queue=f"q-{ids[other]}")
        assert await world.store.count(where) == (1 if state is other else 0)


async def test_a_page_shows_the_whole_record(world: World) -> None:
    delivery = await world.running(user="anna", tags=("x",), unique="k")
    await world.finish(delivery, result=b"1", ttl=60.0)
    (job,) = await world.all_pages()
    assert job == await world.job(delivery.job_id)


async def test_the_clock_is_the_stores(world: World) -> None:
    assert await world.store.now() == world.clock.moment()
    world.clock.advance(1.234)
    assert await world.store.now() == world.clock.moment()
