"""How soon jobs run again after a kill, and what restarts and blocked processes cost them.

    python -m benchmarks.recovery [--store sqlite|postgresql|valkey] [--runs 10] [NAME …]

Each figure is measured on the default lease of 10 s, from the kill to the first line of the last
of the jobs that it hit, by the machine's monotonic clock.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from benchmarks.stage import STORES, Stage, store, until

JOBS = 50
LONG = 600.0


def one_of_two_processes(stage: Stage) -> float:
    """SIGKILL of a process with 50 running jobs; another one has free slots."""
    with stage.worker(processes=2, concurrency=JOBS) as worker:
        stage.until_live(2)
        idle, victim = worker.processes().values()
        # One is suspended until the other has all the jobs: its lease is kept by the supervisor.
        idle.suspend()
        jobs = _running(stage)
        idle.resume()
        time.sleep(1.0)
        victim.kill()
        return _again(stage, jobs, time.monotonic())


def the_only_process(stage: Stage) -> float:
    """SIGKILL of the only process with 50 running jobs: a new one has to be started."""
    with stage.worker(concurrency=JOBS) as worker:
        stage.until_live(1)
        jobs = _running(stage)
        [victim] = worker.processes().values()
        victim.kill()
        return _again(stage, jobs, time.monotonic())


def the_whole_tree(stage: Stage) -> float:
    """SIGKILL of the supervisor and all below it; another worker has free slots."""
    with stage.worker(concurrency=JOBS) as first:
        stage.until_live(1)
        jobs = _running(stage)
        with stage.worker(concurrency=JOBS):
            stage.until_live(2)
            first.kill_tree()
            return _again(stage, jobs, time.monotonic())


def _running(stage: Stage) -> set[str]:
    jobs = stage.enqueue("nap", *[(LONG,)] * JOBS)
    until(lambda: stage.started(jobs, 1))
    return jobs


def _again(stage: Stage, jobs: set[str], moment: float) -> float:
    until(lambda: stage.started(jobs, 2))
    return max(at for job, lines in stage.lines("start").items() for _, at in lines) - moment


def rolling_restart(kind: str) -> str:
    """1,000 jobs on a worker that is replaced every 3 s."""
    with store(kind) as stage:
        jobs = stage.enqueue("nap", *[(0.2,)] * 1000)
        restarts = 0
        while stage.app.jobs.count(state="succeeded") < len(jobs):
            with stage.worker(concurrency=10, grace=0.1) as worker:
                time.sleep(3)
                assert worker.terminate() == 0
                restarts += 1
        records = [stage.app.jobs.get(job).record for job in jobs]
        lost = sum(record.state != "succeeded" for record in records)
        charged = sum(record.attempts + record.kills for record in records)
        more = sum(record.deliveries > 1 for record in records)
        return f"{restarts} restarts, {more} jobs interrupted: {lost} lost, {charged} charged"


def stopped_processes(kind: str) -> str:
    """A job that holds the interpreter lock, and one that blocks the loop, for 3 leases."""
    said = []
    for task in ("hold_the_interpreter", "block_the_loop"):
        with store(kind) as stage, stage.worker(processes=2) as _:
            stage.until_live(2)
            [job] = stage.enqueue(task, (int(3 * stage.settings.lease),))
            until(lambda: stage.lines("end"))
            said.append(f"{task}: started {len(stage.lines('start')[job])} time")
    return ", ".join(said)


KILLS: dict[str, Callable[[Stage], float]] = {
    "process": one_of_two_processes,
    "only": the_only_process,
    "tree": the_whole_tree,
}
OTHERS: dict[str, Callable[[str], str]] = {
    "restarts": rolling_restart,
    "stopped": stopped_processes,
}


def main() -> None:
    """Measure what is asked for, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*KILLS, *OTHERS]))
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    for name in given.names or [*KILLS, *OTHERS]:
        if name in OTHERS:
            print(f"{given.store} {name}: {OTHERS[name](given.store)}", flush=True)
            continue
        seconds = []
        for _ in range(given.runs):
            with store(given.store) as stage:
                seconds.append(KILLS[name](stage))
        print(
            f"{given.store} {name}: median {statistics.median(seconds):.2f} s, "
            f"max {max(seconds):.2f} s of {len(seconds)} ({KILLS[name].__doc__})",
            flush=True,
        )


if __name__ == "__main__":
    main()
