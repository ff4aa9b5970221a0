"""Workers that stop: when they are told to, when they are done, and when they cannot even start."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ferryman import JobState
from ferryman.client.handles import JobHandle
from tests.worker.rig import Rig, until

KINDS = ["nap", "nap_sync", "nap_isolated"]


def begin(rig: Rig, seconds: float) -> list[JobHandle[int]]:
    """A running job of each kind."""
    jobs = [rig.enqueue(task, seconds) for task in KINDS]
    until(lambda: len(rig.lines("start")) == len(jobs))
    return jobs


def unharmed(job: JobHandle[int]) -> bool:
    """Whether the job is back in its queue as if it had never been claimed."""
    record = job.refresh().record
    return (record.state, record.attempts, record.kills) == (JobState.QUEUED, 0, 0)


def test_jobs_that_end_within_the_grace_are_let_end(rig: Rig) -> None:
    with rig.worker(grace=20) as worker:
        jobs = begin(rig, 1.5)
        late = rig.enqueue("nap", 0, delay=0.2)
        worker.terminate()
        assert worker.wait() == 0
        assert [job.result(0.1) for job in jobs] == [1, 1, 1]
        assert late.refresh().state in (JobState.SCHEDULED, JobState.QUEUED)
        assert rig.app.workers.list() == []


def test_jobs_that_outlast_the_grace_are_handed_back_at_no_charge(rig: Rig) -> None:
    with rig.worker(grace=0.5) as worker:
        jobs = begin(rig, 60)
        moment = time.monotonic()
        worker.terminate()
        assert worker.wait() == 0
        # Within the grace and a second; the rest is for a crowded machine. The jobs want 60 s.
        assert time.monotonic() - moment < 15
        assert all(unharmed(job) for job in jobs)
        assert rig.app.workers.list() == []


def test_a_job_that_blocks_its_process_does_not_keep_it(rig: Rig) -> None:
    with rig.worker(grace=0.5) as worker:
        job = rig.enqueue("hold_the_interpreter", 60)
        until(lambda: rig.lines("start", job.id))
        worker.terminate()
        assert worker.wait() == 0
        assert unharmed(job)


def test_a_second_signal_shortens_the_grace(rig: Rig) -> None:
    with rig.worker(grace=60) as worker:
        jobs = begin(rig, 60)
        worker.terminate()
        until(lambda: "stops" in worker.log)
        worker.terminate()
        assert worker.wait() == 0
        assert all(unharmed(job) for job in jobs)


def test_one_process_can_be_told_to_leave_and_is_replaced(rig: Rig) -> None:
    with rig.worker(grace=0.2) as worker:
        jobs = begin(rig, 3)
        [process] = worker.processes()
        process.terminate()
        assert [job.result(30) for job in jobs] == [2, 2, 2]
        assert process.pid not in {one.pid for one in worker.processes()}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_burst_leaves_when_all_is_done(rig: Rig, processes: int) -> None:
    jobs = [rig.enqueue("add_sync", n, n) for n in range(30)]
    retried = rig.enqueue("nap", 0.2)
    later = rig.enqueue("add_sync", 1, 1, delay=600)
    with rig.worker(burst=True, processes=processes) as worker:
        assert worker.wait() == 0
    assert [job.result(0.1) for job in jobs] == [2 * n for n in range(30)]
    assert retried.result(0.1) == 1
    assert later.refresh().state is JobState.SCHEDULED


def test_a_process_is_replaced_after_so_many_jobs(rig: Rig) -> None:
    with rig.worker(max_jobs=4, concurrency=2) as worker:
        jobs = [rig.enqueue("nap", 0) for _ in range(10)]
        assert [job.result(30) for job in jobs] == [1] * 10
        worker.terminate()
        assert worker.wait() == 0
    pids = [line.pid for line in rig.lines("start")]
    assert sorted(pids.count(pid) for pid in set(pids)) == [2, 4, 4]


def test_a_process_is_replaced_after_its_lifetime(rig: Rig) -> None:
    with rig.worker(max_lifetime=1.0) as worker:
        first = until(worker.processes)[0].pid
        # It outlasts the lifetime, and is let end.
        assert rig.enqueue("nap", 1.5).result(30) == 1
        until(lambda: worker.processes() and first not in {p.pid for p in worker.processes()})
        assert rig.enqueue("nap", 0).result(30) == 1


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_library\n", "No module named 'no_such_library'"),
        ("from ferryman import Ferryman\napp = Ferryman()\n1 / 0\n", "ZeroDivisionError"),
        ("app = 3\n", "int"),
    ],
)
def test_an_application_that_cannot_be_imported_is_said_once(
    rig: Rig, source: str, said: str
) -> None:
    module = rig.folder / "broken.py"
    module.write_text(source)
    with rig.worker(f"{module}:app", processes=2) as worker:
        assert worker.wait() == 1
        assert said in worker.log
        assert worker.log.count("cannot run") == 1


def test_a_resource_that_cannot_be_preloaded_stops_the_worker(rig: Rig) -> None:
    with rig.worker(preload=True) as worker:
        assert worker.wait() == 1
        assert "no such model" in worker.log
    # What the tasks of other queues use is not loaded.
    with rig.worker(preload=True, queues=["default"]):
        assert rig.enqueue("add_sync", 1, 2).result(20) == 3


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_change_of_the_source_replaces_the_processes(rig: Rig, tmp_path: Path) -> None:
    source = tmp_path / "source" / "live.py"
    source.parent.mkdir()
    text = "from ferryman import Ferryman\napp = Ferryman()\n@app.task\ndef answer(): return 1\n"
    source.write_text(text)
    with rig.worker("live:app", cwd=source.parent, reload=True, grace=0.1) as worker:
        assert rig.enqueue("answer").result(20) == 1
        first = worker.processes()[0].pid
        # A mistake is waited out, and not the end.
        rewrite(source, text + "1 / 0\n", lambda: "ZeroDivisionError" in worker.log)
        source.write_text(text.replace("return 1", "return 2"))
        assert rig.enqueue("answer").result(20) == 2
        assert worker.processes()[0].pid != first


def rewrite(source: Path, text: str, noticed: Callable[[], bool]) -> None:
    """Write the file until it is noticed: the watch may begin after the worker."""
    deadline = time.monotonic() + 20
    while not noticed():
        assert time.monotonic() < deadline
        source.write_text(text)
        with contextlib.suppress(AssertionError):
            until(noticed, 1.0)


def test_nothing_is_lost_or_charged_under_rolling_restarts(rig: Rig) -> None:
    jobs = rig.app.named("nap").enqueue_many([(0.02,)] * 150)
    ended = 0
    while ended < len(jobs):
        with rig.worker(grace=0.05, concurrency=8) as worker:
            target = min(len(jobs), ended + 40)
            until(lambda: len(rig.lines("end")) >= target, 60)  # noqa: B023
            worker.terminate()
            assert worker.wait() == 0
        ended = rig.app.jobs.count(state=JobState.SUCCEEDED)
    records = [rig.app.jobs.get(job.id).record for job in jobs]
    assert {record.state for record in records} == {JobState.SUCCEEDED}
    assert {(record.attempts, record.kills) for record in records} == {(0, 0)}
