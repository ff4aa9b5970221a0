"""Waiting for a job, stopping it, sending it back."""

import asyncio
from typing import TypedDict

import pytest

from ferryman import (
    Ferryman,
    IllegalTransition,
    InvalidArguments,
    JobCancelled,
    JobFailed,
    JobState,
    WaitTimeout,
    codec,
)
from ferryman.client.task import Task
from tests.client import work


class Receipt(TypedDict):
    total: str


@pytest.fixture
def read(app: Ferryman) -> Task[..., Receipt]:
    @app.task
    def read(number: int) -> Receipt:
        return {"total": str(number)}

    return read


async def test_a_result_is_awaited_while_the_job_runs(
    app: Ferryman, read: Task[..., Receipt]
) -> None:
    job = await read.aenqueue(17)
    waiting = asyncio.create_task(job.aresult(timeout=30))
    [delivery] = await work.claim(app)
    assert not waiting.done()

    await work.succeed(app, delivery, {"total": "17"})

    assert await waiting == {"total": "17"}
    await app.aclose()


def test_the_result_of_an_ended_job_is_there_at_once(
    app: Ferryman, read: Task[..., Receipt]
) -> None:
    job = read.enqueue(17)
    [delivery] = app.run(work.claim(app))
    app.run(work.succeed(app, delivery, {"total": "17"}))

    assert job.result(timeout=0) == {"total": "17"}


def test_a_failed_job_raises_with_its_record(app: Ferryman, read: Task[..., Receipt]) -> None:
    job = read.enqueue(17)
    [delivery] = app.run(work.claim(app))
    app.run(work.fail(app, delivery, "no picture"))

    with pytest.raises(JobFailed, match="ValueError: no picture") as caught:
        job.result(timeout=5)
    assert caught.value.job.state is JobState.FAILED


def test_waiting_too_long_says_so_and_leaves_the_job(
    app: Ferryman, read: Task[..., Receipt]
) -> None:
    job = read.enqueue(17)

    with pytest.raises(WaitTimeout, match="queued"):
        job.result(timeout=0.05)
    assert job.refresh().state is JobState.QUEUED


def test_a_queued_job_is_cancelled_at_once_and_can_be_sent_back(
    app: Ferryman, read: Task[..., Receipt]
) -> None:
    job = read.enqueue(17)

    assert job.cancel(by="ops")
    with pytest.raises(JobCancelled, match="ops"):
        job.result(timeout=0)
    with pytest.raises(IllegalTransition):
        job.cancel()

    assert job.retry(18).refresh().state is JobState.QUEUED
    assert codec.decode_args(job.record.args) == ([18], {})
    with pytest.raises(IllegalTransition):
        job.retry()


def test_a_running_job_is_asked_to_stop(app: Ferryman, read: Task[..., Receipt]) -> None:
    job = read.enqueue(17)
    app.run(work.claim(app))

    assert not job.cancel()
    assert job.refresh().record.cancel_requested


def test_edited_arguments_are_checked(app: Ferryman, read: Task[..., Receipt]) -> None:
    job = read.enqueue(17)
    job.cancel()

    with pytest.raises(InvalidArguments):
        job.retry("seventeen")
    assert job.refresh().state is JobState.CANCELLED


def test_dead_letters_are_listed_retried_and_discarded(
    app: Ferryman, read: Task[..., Receipt]
) -> None:
    jobs = read.enqueue_many([(n,) for n in range(5)])
    for delivery in app.run(work.claim(app, limit=5)):
        app.run(work.fail(app, delivery, "no"))

    assert {job.id for job in app.dead_letters.list(task="read")} == {job.id for job in jobs}
    jobs[0].discard()
    assert app.dead_letters.retry_all(task="other") == 0
    assert app.dead_letters.retry_all(task="read") == 4
    assert len(app.dead_letters.list()) == 0
    for delivery in app.run(work.claim(app, limit=5)):
        app.run(work.fail(app, delivery, "again"))
    assert app.dead_letters.discard_all() == 4
    assert app.jobs.count() == 0


def test_a_paused_queue_gives_nothing_until_it_is_resumed(
    app: Ferryman, read: Task[..., Receipt]
) -> None:
    read.enqueue(17)
    app.queues.pause("default")

    assert app.queues.info("default").paused
    assert app.run(work.claim(app)) == []
    app.queues.resume("default")
    assert len(app.run(work.claim(app))) == 1
    assert app.queues.info("default").running == 1
    assert app.queues.info("never-seen").queued == 0


def test_purging_cancels_what_has_not_begun(app: Ferryman, read: Task[..., Receipt]) -> None:
    read.enqueue_many([(n,) for n in range(3)])
    read.using(delay=60).enqueue(4)

    assert app.queues.purge("default") == 4
    assert app.queues.info("default").cancelled == 4


def test_the_events_tell_the_story(app: Ferryman, read: Task[..., Receipt]) -> None:
    job = read.enqueue(17)
    [delivery] = app.run(work.claim(app))
    app.run(work.succeed(app, delivery, {"total": "17"}))

    assert [event.target for event in job.events()] == ["queued", "running", "succeeded"]
