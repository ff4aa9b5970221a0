"""Processes that die, and jobs that make them look dead."""

import contextlib
import signal
import time

import msgspec
import psutil
import pytest
from redis import Redis

from ferryman import JobFailed, JobState, Reason
from ferryman.client.handles import JobHandle
from ferryman.worker import proctree
from tests.worker.rig import Rig, RunningWorker, until


def started(rig: Rig, jobs: list[JobHandle[int]], times: int) -> bool:
    """Whether each of `jobs` has begun so many times."""
    begun = [line.job_id for line in rig.lines("start")]
    return all(begun.count(job.id) >= times for job in jobs)


def kill_one(worker: RunningWorker) -> None:
    """SIGKILL to one of its processes."""
    worker.processes()[0].kill()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_jobs_of_a_killed_process_run_again_at_once(rig: Rig, processes: int) -> None:
    # Far longer than the test: nobody waits for the lease to end.
    rig.settings = msgspec.structs.replace(rig.settings, lease=60.0)
    with rig.worker(processes=processes, concurrency=50) as worker:
        rig.until_live(processes)
        jobs = [rig.enqueue("nap", 60) for _ in range(50)]
        until(lambda: started(rig, jobs, 1))
        first = {line.pid for line in rig.lines("start")}
        moment = time.monotonic()
        victims = [process for process in worker.processes() if process.pid in first]
        victims[0].kill()
        hit = {line.job_id for line in rig.lines("start") if line.pid == victims[0].pid}
        again = [job for job in jobs if job.id in hit]
        assert len(again) >= 25 if processes == 1 else again
        until(lambda: started(rig, again, 2))
        assert max(line.at for line in rig.lines("start")) - moment < 15
        record = again[0].refresh().record
        assert (record.kills, record.attempts, record.state) == (1, 0, JobState.RUNNING)


def test_the_jobs_of_a_killed_tree_run_elsewhere_once_its_lease_is_over(rig: Rig) -> None:
    with rig.worker() as first:
        jobs = [rig.enqueue(task, 60) for task in ("nap", "nap_sync", "nap_isolated")]
        until(lambda: started(rig, jobs, 1))
        with rig.worker():
            rig.until_live(2)
            moment = time.monotonic()
            first.kill_tree()
            until(lambda: started(rig, jobs, 2))
            # A lease of 2 s, a sweep of 0.2 s, and a crowded machine.
            assert max(line.at for line in rig.lines("start")) - moment < 20


def test_nothing_outlives_its_supervisor(rig: Rig) -> None:
    with rig.worker(processes=2) as worker:
        for task in ("nap_isolated", "hold_the_interpreter"):
            job = rig.enqueue(task, 60)
            until(lambda: started(rig, [job], 1))  # noqa: B023
        tree = worker.tree()
        assert len(tree) >= 4
        worker.process.kill()
        psutil.wait_procs(tree, timeout=20)
        assert not proctree.living(tree)


@pytest.mark.parametrize("task", ["hold_the_interpreter", "block_the_loop"])
def test_a_job_that_stops_its_process_is_started_once(rig: Rig, task: str) -> None:
    """For three leases: another process is free to take the job if its worker looked dead."""
    with rig.worker(processes=2):
        rig.until_live(2)
        job = rig.enqueue(task, 6)
        assert job.result(30) is None
        neighbour = rig.enqueue("add_async", 1, 2)
        assert neighbour.result(20) == 3
    assert len(rig.lines("start", job.id)) == 1
    assert (job.refresh().record.deliveries, job.record.kills) == (1, 0)


def test_a_poison_job_fails_and_its_neighbours_do_not(rig: Rig) -> None:
    with rig.worker(concurrency=4):
        neighbours = [rig.enqueue("nap_sync", 3) for _ in range(2)]
        neighbours.append(rig.enqueue("nap_isolated", 3))
        until(lambda: started(rig, neighbours, 1))
        poison = rig.enqueue("kill_the_process", priority="high")
        with pytest.raises(JobFailed, match="worker_lost"):
            poison.result(60)
        assert all(job.result(60) for job in neighbours)
    assert len(rig.lines("start", poison.id)) == 3
    assert poison.refresh().record.kills == 3
    records = [job.refresh().record for job in neighbours]
    assert {record.state for record in records} == {JobState.SUCCEEDED}
    # An isolated job is not to blame for the death of the process beside it.
    assert records[-1].kills == 0


def test_a_child_that_dies_takes_only_its_own_job_with_it(rig: Rig) -> None:
    with rig.worker(concurrency=3):
        neighbours = [rig.enqueue("nap_isolated", 3), rig.enqueue("nap", 3)]
        until(lambda: started(rig, neighbours, 1))
        poison = rig.enqueue("kill_the_child")
        with pytest.raises(JobFailed, match=r"worker_lost.*SIGKILL"):
            poison.result(30)
        assert [job.result(30) for job in neighbours] == [1, 1]
    record = poison.refresh().record
    assert (record.kills, record.reason) == (3, Reason.WORKER_LOST)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_a_whole_service_is_left_to_the_supervisor(
    rig: Rig, number: signal.Signals
) -> None:
    """As systemd and Ctrl-C send it: to each process of the service at once."""
    with rig.worker(grace=20, processes=2) as worker:
        jobs = [rig.enqueue("nap_isolated", 1.5), rig.enqueue("nap_sync", 1.5)]
        until(lambda: started(rig, jobs, 1))
        for process in worker.tree():
            process.send_signal(number)
        assert worker.wait() == 0
        assert [job.result(0.1) for job in jobs] == [1, 1]


def test_what_a_dead_process_has_started_is_killed_too(rig: Rig) -> None:
    with rig.worker() as worker:
        rig.enqueue("run_sleep", 60)
        [program] = rig.pids()
        kill_one(worker)
        until(lambda: not proctree.living([program]))


@pytest.mark.parametrize("settings", ["valkey"], indirect=True)
def test_a_store_that_hangs_longer_than_a_lease_loses_nothing(rig: Rig) -> None:
    assert rig.settings.valkey_url is not None
    with Redis.from_url(rig.settings.valkey_url) as client:
        server = psutil.Process(client.info("server")["process_id"])
    with rig.worker() as worker:
        job = rig.enqueue("nap", 60)
        until(lambda: rig.lines("start", job.id))
        server.suspend()
        try:
            until(lambda: "lost its lease" in worker.log)
        finally:
            server.resume()
        until(lambda: len(rig.lines("start", job.id)) == 2)
        record = job.refresh().record
        # A reaper's call may have hung with the others, and come first when they went on.
        assert (record.attempts, record.kills) in ((0, 0), (0, 1))
        assert worker.log.count("renewing the lease of worker w1.1 failed") == 1


def test_a_worker_that_was_suspended_past_its_lease_starts_anew(rig: Rig) -> None:
    with rig.worker() as first:
        job = rig.enqueue("nap", 6)
        [line] = until(lambda: rig.lines("start", job.id))
        with rig.worker():
            rig.until_live(2)
            for process in first.tree():
                process.send_signal(signal.SIGSTOP)
            until(lambda: len(rig.lines("start", job.id)) == 2)
            for process in first.tree():
                # The first that goes on may kill the others before their turn.
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)
            until(lambda: line.pid not in {process.pid for process in first.tree()})
            until(lambda: "lost its lease" in first.log)
            assert job.result(30) == 2
    assert [end.pid for end in rig.lines("end", job.id)] != [line.pid]
