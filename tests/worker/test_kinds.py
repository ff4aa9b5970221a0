"""Jobs of each kind in real worker processes: their results, their limits, their resources."""

import time

import pytest

from ferryman import JobCancelled, JobFailed, JobState, Reason
from tests.worker.rig import Rig, until

KINDS = ["async", "sync", "isolated"]


def test_each_kind_runs_and_its_result_can_be_read(rig: Rig) -> None:
    with rig.worker():
        tasks = ["add_async", "add_sync", "add_isolated", "add_isolated_async"]
        jobs = [rig.enqueue(task, 2, 3) for task in tasks]
        assert [job.result(20) for job in jobs] == [5, 5, 5, 5]


def test_every_ending_reaches_the_store(rig: Rig) -> None:
    with rig.worker():
        retried = rig.enqueue("second_time")
        refused = rig.enqueue("permanent")
        snoozed = rig.enqueue("snooze_once")
        cancelled = rig.enqueue("cancel_itself")
        invalid = rig.enqueue("add_sync", "two", 3)
        assert retried.result(20) == 2
        assert retried.refresh().record.attempts == 1
        with pytest.raises(JobFailed, match=r"permanent.*never"):
            refused.result(20)
        assert refused.record.attempts == 1
        assert snoozed.result(20) == 1
        until(lambda: cancelled.refresh().state is JobState.CANCELLED)
        assert cancelled.record.reason is Reason.CANCELLED_ITSELF
        with pytest.raises(JobFailed, match="invalid_arguments"):
            invalid.result(20)


def test_an_isolated_job_reports(rig: Rig) -> None:
    with rig.worker():
        job = rig.enqueue("report")
        assert job.result(20) == ["half", 1]
        progress = job.refresh().record.progress
    assert progress is not None
    assert (progress.current, progress.message) == (1000, "step 999")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_job_logs_is_kept_across_its_attempts(rig: Rig, kind: str) -> None:
    with rig.worker():
        job = rig.enqueue(f"log_{kind}")
        job.result(20)
    events = [event for event in job.events() if event.line is not None]
    assert [(event.line.level, event.line.text) for event in events if event.line] == [
        ("info", "attempt 1 begins"),
        ("warning", "it is late"),
        ("info", "attempt 2 begins"),
        ("warning", "it is late"),
    ]
    assert events[0].token < events[-1].token


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_kept_among_a_jobs_words(rig: Rig, kind: str) -> None:
    with rig.worker():
        jobs = [rig.enqueue(f"leak_{kind}", pin) for pin in ("raise-8731", "return-8731")]
        for job in jobs:
            with pytest.raises((JobFailed, JobCancelled)):
                job.result(20)
    raised, returned = jobs
    assert raised.record.failure is not None
    assert (raised.record.failure.message, returned.record.detail) == ("raises ***", "returns ***")
    for job in jobs:
        assert job.record.progress is not None
        assert job.record.progress.message == "does ***"
        kept = str([job.record.failure, job.record.detail, job.events()])
        assert "logs ***" in kept
        assert "8731" not in kept


@pytest.mark.parametrize("kind", KINDS)
def test_a_time_out_ends_the_attempt(rig: Rig, kind: str) -> None:
    with rig.worker(concurrency=1):
        job = rig.enqueue(f"late_{kind}")
        with pytest.raises(JobFailed, match="timeout"):
            job.result(20)
        assert job.refresh().record.attempts == 1
        # It could clean up, and its slot is free for the next job.
        assert rig.enqueue("add_async", 1, 1).result(20) == 2
        assert rig.lines("unwound", job.id)
    [began] = rig.lines("start", job.id)
    ended = job.record.finished_at
    assert ended is not None
    assert job.record.started_at is not None
    assert 0.3 <= (ended - job.record.started_at).total_seconds() < 5, began


def test_a_deaf_child_is_killed_and_the_job_tried_again(rig: Rig) -> None:
    with rig.worker(concurrency=1):
        job = rig.enqueue("deaf")
        assert job.result(30) == "recovered"
    assert job.refresh().record.kills == 0


def test_a_memory_limit_kills_one_job_and_not_its_neighbours(rig: Rig) -> None:
    with rig.worker():
        neighbour = rig.enqueue("nap_isolated", 2)
        until(lambda: rig.lines("start", neighbour.id))
        greedy, modest = rig.enqueue("eat", 400), rig.enqueue("eat", 20)
        with pytest.raises(JobFailed, match=r"memory_limit.*MiB"):
            greedy.result(20)
        assert modest.result(20) == 20 * 1024 * 1024
        assert neighbour.result(20) == 1
        assert greedy.refresh().record.kills == 0


def test_resources_are_loaded_once_a_process_and_torn_down(rig: Rig) -> None:
    with rig.worker(queues=["engines"], concurrency=2) as worker:
        here = [rig.enqueue("use_engine", queue="engines") for _ in range(6)]
        isolated = [rig.enqueue("use_engine_isolated", queue="engines") for _ in range(6)]
        values = {job.result(20) for job in here}
        children = {job.result(20) for job in isolated}
        with pytest.raises(JobFailed, match="no such model"):
            rig.enqueue("use_broken_engine", queue="engines").result(20)
        worker.terminate()
        assert worker.wait() == 0
    assert len(values) == 1
    assert 1 <= len(children) <= 2
    loaded = [line.pid for line in rig.lines("load")]
    assert {f"engine of {pid}" for pid in loaded} == values | children
    assert sorted(line.pid for line in rig.lines("unload")) == sorted(loaded)


def test_preloaded_resources_are_there_before_the_first_job(rig: Rig) -> None:
    with rig.worker("tests.worker.engines:app", preload=True, concurrency=2) as worker:
        # One in the worker process, one in each of the children that it has slots for.
        until(lambda: len(rig.lines("load")) == 3)
        moment = time.monotonic()
        assert rig.enqueue("whole", queue="whole").result(20)
        worker.terminate()
        assert worker.wait() == 0
    assert len(rig.lines("load")) == 3
    assert all(line.at < moment for line in rig.lines("load"))


def test_an_unknown_task_waits_for_a_worker_that_knows_it(rig: Rig) -> None:
    job = rig.enqueue("whole", queue="whole")
    with rig.worker(queues=["whole"]):
        until(lambda: job.refresh().record.reason is Reason.PARKED)
        assert (job.record.attempts, job.record.failure) == (0, None)
    with rig.worker("tests.worker.engines:app"):
        assert job.result(20)
    assert job.refresh().record.attempts == 0
