"""From a call in the application to a job in the store."""

import asyncio
import dataclasses
import threading
from datetime import UTC, datetime, timedelta

import pytest

from ferryman import (
    ConfigError,
    Ferryman,
    InvalidArguments,
    InvalidName,
    JobExists,
    JobNotFound,
    JobState,
    codec,
)
from ferryman.client.task import Task
from tests.client import work


@dataclasses.dataclass
class Box:
    left: int
    top: int


@pytest.fixture
def read(app: Ferryman) -> Task[..., int]:
    @app.task
    def read(number: int, path: str = "a.png", box: Box | None = None) -> int:
        return number

    return read


def test_a_job_is_in_the_store_when_enqueue_returns(app: Ferryman, read: Task[..., int]) -> None:
    job = read.enqueue(17, path="b.png", box=Box(1, 2))

    record = app.jobs.get(job.id).record
    assert (record.task, record.queue, record.state) == ("read", "default", JobState.QUEUED)
    assert codec.decode_args(record.args) == ([17], {"path": "b.png", "box": {"left": 1, "top": 2}})
    assert job.created


async def test_the_asynchronous_twin_does_the_same(app: Ferryman, read: Task[..., int]) -> None:
    job = await read.aenqueue(17)

    assert (await app.jobs.aget(job.id)).state is JobState.QUEUED
    await app.aclose()


async def test_synchronous_calls_work_while_a_loop_is_running(
    app: Ferryman, read: Task[..., int]
) -> None:
    job = read.enqueue(17)

    assert job.refresh().state is JobState.QUEUED


def test_the_calls_of_many_threads_and_loops_all_arrive(
    app: Ferryman, read: Task[..., int]
) -> None:
    async def twenty(first: int) -> None:
        await asyncio.gather(*(read.aenqueue(first + n) for n in range(10)))
        await asyncio.to_thread(lambda: [read.enqueue(first + 10 + n) for n in range(10)])

    threads = [threading.Thread(target=asyncio.run, args=(twenty(20 * n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    jobs = app.jobs.list(limit=200)
    assert sorted(codec.decode_args(job.record.args)[0][0] for job in jobs) == list(range(80))


def test_many_jobs_are_one_call_in_their_order(app: Ferryman, read: Task[..., int]) -> None:
    jobs = read.enqueue_many([(1, "a"), {"number": 2}, (3,)])

    deliveries = app.run(work.claim(app, limit=3))
    assert [delivery.job_id for delivery in deliveries] == [job.id for job in jobs]


def test_one_bad_call_among_many_enqueues_none(app: Ferryman, read: Task[..., int]) -> None:
    with pytest.raises(InvalidArguments, match="number"):
        read.enqueue_many([(1,), ("two",)])

    assert app.jobs.count() == 0


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("x",), {}), ((1,), {"no": 1}), ((1,), {"box": {"left": 1}}), ((object(),), {})],
)
def test_arguments_that_do_not_fit_are_refused_at_once(
    app: Ferryman, read: Task[..., int], args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    with pytest.raises(InvalidArguments, match="read"):
        read.enqueue(*args, **kwargs)

    assert app.jobs.count() == 0


def test_a_job_can_be_enqueued_by_name_without_its_code(app: Ferryman) -> None:
    job = app.named("elsewhere", queue="ocr").using(priority="urgent").enqueue(1, path="x")

    record = job.refresh().record
    assert (record.task, record.queue, record.priority) == ("elsewhere", "ocr", 20)
    assert app.enqueue("elsewhere", 2).refresh().record.queue == "default"


def test_options_reach_the_job(app: Ferryman, read: Task[..., int]) -> None:
    job = read.using(
        id="ocr-17", queue="slow", priority=7, delay=60, user="u 1", tags=["a", "b"], timeout=3
    ).enqueue(17)

    record = job.refresh().record
    assert (record.id, record.queue, record.priority, record.user, record.tags) == (
        "ocr-17", "slow", 7, "u 1", ("a", "b"),
    )  # fmt: skip
    assert record.state is JobState.SCHEDULED
    assert record.due_at - record.created_at == timedelta(seconds=60)
    assert record.options.timeout == 3


def test_a_moment_can_be_named_instead_of_a_delay(app: Ferryman, read: Task[..., int]) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)

    assert read.using(run_at=moment).enqueue(1).refresh().record.due_at == moment


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"id": "a b"}, InvalidName),
        ({"queue": "{x}"}, InvalidName),
        ({"tags": ["a*"]}, InvalidName),
        ({"user": ""}, InvalidName),
        ({"unique": "a\nb"}, InvalidName),
        ({"priority": "soon"}, InvalidName),
        ({"delay": -1}, ConfigError),
        ({"run_at": datetime(2030, 1, 1)}, ConfigError),
        ({"delay": 1, "run_at": datetime(2030, 1, 1, tzinfo=UTC)}, ConfigError),
        ({"on_conflict": "whatever"}, ConfigError),
        ({"timeout": -1}, ConfigError),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    read: Task[..., int], options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        read.using(**options)  # type: ignore[arg-type]


def test_the_same_id_twice_is_one_job(app: Ferryman, read: Task[..., int]) -> None:
    first = read.using(id="ocr-17").enqueue(17)
    second = read.using(id="ocr-17").enqueue(17)

    assert (first.id, second.id) == ("ocr-17", "ocr-17")
    assert (first.created, second.created) == (True, False)
    assert app.jobs.count() == 1


def test_a_held_unique_key_refuses_or_gives_the_live_job_back(
    app: Ferryman, read: Task[..., int]
) -> None:
    live = read.using(unique="receipt:17").enqueue(17)

    with pytest.raises(JobExists) as caught:
        read.using(unique="receipt:17").enqueue(17)
    again = read.using(unique="receipt:17", on_conflict="return").enqueue(17)

    assert caught.value.job_id == live.id
    assert (again.id, again.created) == (live.id, False)


def test_one_id_cannot_name_many_jobs(read: Task[..., int]) -> None:
    with pytest.raises(ConfigError, match="id"):
        read.using(id="x").enqueue_many([(1,)])


def test_a_job_that_is_not_there_says_so(app: Ferryman) -> None:
    with pytest.raises(JobNotFound, match="nothing-here"):
        app.jobs.get("nothing-here")
