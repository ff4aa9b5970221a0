"""Running jobs that someone asks to stop."""

import time

import psutil
import pytest

from ferryman import JobState, Reason
from ferryman.client.handles import JobHandle
from ferryman.worker import proctree
from tests.worker.rig import Rig, RunningWorker, until


def cancelled(job: JobHandle[int]) -> bool:
    """Whether the job was stopped because someone asked for it."""
    record = job.refresh().record
    return (record.state, record.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY)


def zombies(worker: RunningWorker) -> list[psutil.Process]:
    """What below the worker has ended and was not reaped."""
    return [one for one in worker.tree() if is_zombie(one)]


def is_zombie(process: psutil.Process) -> bool:
    """Whether it has ended and was not reaped; one that is gone altogether was."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("task", ["nap", "nap_sync", "nap_isolated"])
def test_a_running_job_is_cancelled(rig: Rig, task: str) -> None:
    with rig.worker():
        job = rig.enqueue(task, 5)
        until(lambda: rig.lines("start", job.id))
        assert job.cancel(by="the test") is False
        until(lambda: cancelled(job))
        assert (job.record.attempts, job.record.detail) == (0, "the test")
        # Another job runs: nothing was broken by it.
        assert rig.enqueue(task, 0).result(20) == 1


def test_a_cooperative_job_ends_by_itself(rig: Rig) -> None:
    with rig.worker(cancel_grace=30):
        job = rig.enqueue("late_sync", timeout=0)
        until(lambda: rig.lines("start", job.id))
        job.cancel()
        assert job.result(20) == "too late"


def test_cancel_ends_all_that_the_job_has_started(rig: Rig) -> None:
    grace = 0.5
    with rig.worker(cancel_grace=grace) as worker:
        job = rig.enqueue("start_grandchildren", 60)
        programs = rig.pids()
        assert len(programs) == 3
        assert programs[2].ppid() == worker.pid, "an orphan belongs to whoever reaps it"
        assert all(program.is_running() for program in programs)
        job.cancel()
        until(lambda: job.refresh().record.cancel_requested)
        asked = time.monotonic()
        until(lambda: cancelled(job))
        # The worker hears of it within a second; then the grace, then SIGTERM at once. The rest is
        # for a crowded machine: the job wants 60 s.
        assert time.monotonic() - asked < 1 + grace + 13
        assert not proctree.living(programs)
        until(lambda: not zombies(worker) and not any(one.is_running() for one in programs))


def test_a_time_out_ends_all_that_the_job_has_started(rig: Rig) -> None:
    with rig.worker() as worker:
        job = rig.enqueue("start_grandchildren", 60, timeout=1.0)
        programs = rig.pids()
        until(lambda: job.refresh().state is JobState.FAILED)
        assert job.record.reason is Reason.TIMEOUT
        assert not proctree.living(programs)
        until(lambda: not zombies(worker) and not any(one.is_running() for one in programs))
