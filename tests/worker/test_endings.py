"""What a job returns or raises, and what becomes of it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ferryman import Cancel, JobContext, JobState, Permanent, Reason, Retry, Snooze, current_job
from ferryman.client.client import Client
from ferryman.domain.job import PAYLOAD_VERSION, JobOptions
from tests.worker.direct import client, directly

KINDS = ["async", "sync"]


def task(app: Client, kind: str, body: Callable[..., Any], **options: Any) -> str:
    """Register `body` as a task of this kind; returns its name."""

    async def on_loop(*args: int) -> Any:
        return body(*args)

    def in_thread(*args: int) -> Any:
        return body(*args)

    app.task(name="it", **options)(on_loop if kind == "async" else in_thread)
    return "it"


def fail(error: BaseException) -> Callable[..., Any]:
    """A body that raises `error`."""

    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize("kind", KINDS)
async def test_a_returned_value_is_the_result(kind: str) -> None:
    app = client()
    task(app, kind, lambda a, b: {"sum": a + b}, result_ttl=60)
    async with directly(app) as direct:
        job = await direct.ended(await direct.submit("it", 2, 3))
    assert (job.state, job.reason, job.result) == (
        JobState.SUCCEEDED,
        Reason.RETURNED,
        b'{"sum":5}',
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "reason", "name"),
    [
        (ValueError("no"), Reason.EXHAUSTED, "ValueError"),
        (Permanent("never"), Reason.PERMANENT, "ferryman.Permanent"),
        (SystemExit(3), Reason.EXHAUSTED, "SystemExit"),
        (KeyboardInterrupt(), Reason.EXHAUSTED, "KeyboardInterrupt"),
        (asyncio.CancelledError(), Reason.EXHAUSTED, "asyncio.exceptions.CancelledError"),
        (StopIteration(), Reason.EXHAUSTED, "RuntimeError"),
    ],
)
async def test_an_exception_fails_the_job_and_not_the_worker(
    kind: str, error: BaseException, reason: Reason, name: str
) -> None:
    app = client()
    task(app, kind, fail(error))
    async with directly(app) as direct:
        for _ in range(2):
            job = await direct.ended(await direct.submit("it"))
            assert (job.state, job.reason, job.attempts) == (JobState.FAILED, reason, 1)
            assert job.failure is not None
            assert job.failure.kind == name


async def test_a_failure_keeps_the_users_frames_and_no_values() -> None:
    app = client()

    @app.task
    def read(secret: str) -> None:
        raise ValueError("unreadable")

    async with directly(app) as direct:
        job = await direct.ended(await direct.submit("read", "hunter2"))
    assert job.failure is not None
    assert job.failure.message == "unreadable"
    assert 'raise ValueError("unreadable")' in job.failure.traceback
    assert "hunter2" not in job.failure.traceback
    assert "ferryman/worker" not in job.failure.traceback


async def test_a_failure_is_cut_to_its_limits() -> None:
    app = client()

    @app.task
    def read() -> None:
        try:
            raise ValueError("x" * 20_000)
        except ValueError as error:
            raise RuntimeError("y" * 20_000) from error

    async with directly(app) as direct:
        job = await direct.ended(await direct.submit("read"))
    assert job.failure is not None
    assert len(job.failure.message) == 4_000
    assert len(job.failure.traceback) == 16_000


async def test_a_failing_attempt_is_retried_and_then_succeeds() -> None:
    app = client()

    @app.task(retry=Retry(max_attempts=3, delays=(0, 0.01)))
    def third_time() -> int:
        if current_job().attempt < 3:
            raise ValueError("not yet")
        return current_job().attempt

    async with directly(app) as direct:
        job_id = await direct.submit("third_time")
        await direct.reached(job_id, "scheduled")
        await asyncio.sleep(0.02)
        await direct.promote()
        job = await direct.ended(job_id)
    assert (job.state, job.attempts, job.deliveries, job.result) == ("succeeded", 2, 3, b"3")


async def test_a_policy_says_which_exceptions_are_retried() -> None:
    app = client()
    retry = Retry(max_attempts=5, delays=(0,) * 5, on=[OSError], never=[FileNotFoundError])
    task(app, "sync", fail(FileNotFoundError("gone")), retry=retry)
    async with directly(app) as direct:
        job = await direct.ended(await direct.submit("it"))
    assert (job.reason, job.attempts) == (Reason.PERMANENT, 1)


async def test_the_jobs_own_policy_goes_over_its_tasks() -> None:
    app = client()
    task(app, "async", fail(ValueError("no")))
    async with directly(app) as direct:
        retry = Retry(max_attempts=3, delays=(0, 0))
        job = await direct.ended(await direct.submit("it", retry=retry))
    assert (job.reason, job.attempts) == (Reason.EXHAUSTED, 3)


async def test_raise_retry_waits_as_long_as_it_says() -> None:
    app = client()
    task(app, "async", fail(Retry(delay=600)), retry=Retry(max_attempts=2))
    async with directly(app) as direct:
        job = await direct.reached(await direct.submit("it"), "scheduled")
    assert (job.reason, job.attempts) == (Reason.RETRY, 1)
    assert 590 < (job.due_at.timestamp() - time.time()) < 601


async def test_snooze_charges_no_attempt() -> None:
    app = client()
    task(app, "sync", lambda: Snooze(600))
    async with directly(app) as direct:
        job = await direct.reached(await direct.submit("it"), "scheduled")
    assert (job.reason, job.attempts) == (Reason.SNOOZED, 0)


async def test_a_job_may_cancel_itself() -> None:
    app = client()
    task(app, "async", lambda: Cancel("seen before"))
    async with directly(app) as direct:
        job = await direct.ended(await direct.submit("it"))
    assert (job.state, job.reason, job.detail) == (
        "cancelled",
        Reason.CANCELLED_ITSELF,
        "seen before",
    )


@pytest.mark.parametrize("value", [object(), float("nan"), "x" * 1_048_577])
async def test_a_result_that_cannot_be_stored_fails_the_job(value: Any) -> None:
    app = client()
    task(app, "sync", lambda: value, retry=3)
    async with directly(app) as direct:
        job = await direct.ended(await direct.submit("it"))
    assert (job.state, job.reason, job.attempts) == ("failed", Reason.UNKNOWN_RESULT, 1)


async def test_arguments_are_checked_again_when_the_job_runs() -> None:
    app, old = client(), client()

    @old.task(name="double")
    def double_text(n: str) -> str:
        return n * 2

    @app.task(retry=5)
    def double(n: int) -> int:
        return n * 2

    async with directly(app) as direct:
        [sent] = await direct.store.submit([old.named("double").new_job(("four",), {})])
        job = await direct.ended(sent.job_id)
    assert (job.state, job.reason, job.attempts) == ("failed", Reason.INVALID_ARGUMENTS, 1)
    assert job.failure is not None
    assert "'n'" in job.failure.message


async def test_an_unknown_task_is_parked_until_a_worker_knows_it() -> None:
    old, new = client(), client()
    task(old, "sync", lambda: None)
    task(new, "sync", lambda: None)

    @new.task
    async def added_later() -> str:
        return "done"

    async with directly(old, queues=("default",)) as direct:
        job_id = await direct.submit("added_later")
        job = await direct.reached(job_id, "scheduled")
        assert (job.reason, job.attempts, job.failure) == (Reason.PARKED, 0, None)
        assert "added_later" in job.detail
        store = direct.store
    async with directly(new, store) as direct:
        while (await direct.reached(job_id, *JobState)).state == "scheduled":
            await direct.promote()
            await asyncio.sleep(0.01)
        assert (await direct.ended(job_id)).result == b'"done"'


async def test_a_newer_payload_is_parked() -> None:
    app = client()
    task(app, "sync", lambda: None)
    async with directly(app) as direct:
        newer = JobOptions(version=PAYLOAD_VERSION + 1)
        job = msgspec.structs.replace(app.named("it").new_job((), {}), options=newer)
        await direct.store.submit([job])
        parked = await direct.reached(job.id, "scheduled")
    assert (parked.reason, parked.attempts) == (Reason.PARKED, 0)


async def test_a_job_knows_itself_and_reports() -> None:
    app = client()

    @app.task(retry=Retry(max_attempts=2, delays=(0,)))
    def work(context: JobContext) -> Any:
        assert current_job() is context
        if context.attempt == 1:
            context.progress(1, 4, "begun")
            context.save({"page": 7})
            raise ValueError("half done")
        return [context.id, context.attempt, context.token, context.checkpoint]

    async with directly(app) as direct:
        job = await direct.ended(await direct.submit("work", id="w-1"))
    assert msgspec.json.decode(job.result or b"") == ["w-1", 2, job.token, {"page": 7}]
    assert job.progress is not None
    assert (job.progress.current, job.progress.total, job.progress.message) == (1, 4, "begun")


@pytest.mark.parametrize(
    ("args", "kwargs"), [((1, 2), {}), ((1,), {"last": 2}), ((), {"first": 1, "last": 2})]
)
async def test_what_the_worker_fills_in_may_stand_anywhere(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    app = client()

    @app.task
    def between(first: int, context: JobContext, last: int) -> list[Any]:
        return [first, context.id, last]

    @app.task
    def before(context: JobContext, *numbers: int) -> list[Any]:
        return [context.id, *numbers]

    async with directly(app) as direct:
        await direct.store.submit([between.using(id="b-1").new_job(args, kwargs)])
        job = await direct.ended("b-1")
        many = await direct.ended(await direct.submit("before", 1, 2, 3, id="b-2"))
    assert msgspec.json.decode(job.result or b"") == [1, "b-1", 2]
    assert msgspec.json.decode(many.result or b"") == ["b-2", 1, 2, 3]
