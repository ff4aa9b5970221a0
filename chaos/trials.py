"""Trials: scenarios that are made to measure one figure, with many samples of it."""

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from chaos.faults import databases, keystores, processes
from chaos.faults.base import Inject
from chaos.measures import PHASE
from chaos.plan import Plan
from chaos.scenarios import CALM, Scenario
from chaos.servers import until
from chaos.stage import Deployment, Setup, Stage
from ferryman import Ferryman

KILLS: Final = 30
CHILDREN_KILLS: Final = 20
STOPS: Final = 24
PAIRS: Final = 4
"""Phases of each of two kinds that are compared, taking turns."""
PHASE_LASTS: Final = 1.0
OVER: Final = 1 << 20
"""Bytes that are used above a memory limit."""
BACKLOG: Final = 50_000
"""Jobs, more than are done in all phases."""

KILL_EVERY: Final = 2.1
"""Seconds between two kills, on the average: 1,000 of them take 35 minutes."""
SOONEST: Final = 5.0
LATEST: Final = 40.0
"""Seconds between two outages of a server."""
JOBS_OF_A_CALL: Final = 27.0
"""Of a producer whose larger calls are of 100 jobs, on the average."""


def killed_trees() -> Scenario:
    """Hosts that are gone, again and again, with the figures of a worker that sets none."""

    def play(stage: Stage) -> None:
        for _ in range(KILLS):
            with processes.tree_killed(stage):
                pass
            stage.wait(2 * KILL_EVERY)

    setup = Setup(lease=10.0, sweep=1.0, timeout=10.0, trees=4)
    plan = Plan(name="p", seed=0, rate=8.0, batch=4, seconds=2.0, mix={"work": 1}, extras=False)
    return Scenario(name="hosts killed", play=play, setup=setup, plan=plan)


def killed_children() -> Scenario:
    """Children of isolated jobs that are killed, while their workers have others to spare."""

    def play(stage: Stage) -> None:
        stage.wait(5.0)  # until each slot has its child
        for _ in range(CHILDREN_KILLS):
            with processes.children_killed(stage):
                pass
            stage.wait(KILL_EVERY)

    setup = Setup(lease=10.0, sweep=1.0, timeout=10.0, trees=2, concurrency=4)
    plan = Plan(
        name="p", seed=0, rate=2.0, batch=2, seconds=2.0, mix={"work_isolated": 1}, extras=False
    )
    return Scenario(name="children killed often", play=play, setup=setup, plan=plan)


def zombies() -> Scenario:
    """Workers that are stopped past their leases, and go on with jobs that others have by then.

    Where only the supervisor is stopped, its processes finish what is no longer theirs.
    """

    def play(stage: Stage) -> None:
        stage.wait(5.0)
        for number in range(STOPS):
            stop = processes.supervisor_stopped if number % 2 else processes.tree_stopped
            with stop(stage):
                stage.wait(1.8 * stage.setup.lease + 0.5)
            stage.wait(2 * CALM)

    setup = Setup(lease=2.0, trees=3, concurrency=120)
    plan = Plan(name="p", seed=0, rate=24.0, batch=4, seconds=8.0, mix={"work": 3, "report": 1})
    return Scenario(name="zombies", play=play, setup=setup, plan=plan)


def at_the_memory_limit() -> Scenario:
    """Completions in a second while Valkey is over its memory limit, and while it has none."""

    def play(stage: Stage) -> None:
        _fill(stage)
        for _ in range(PAIRS):
            stage.mark(f"{PHASE}normal")
            stage.wait(PHASE_LASTS)
            stage.mark(PHASE)
            with keystores.full(stage, -OVER):
                stage.wait(CALM / 4)
                stage.mark(f"{PHASE}at maxmemory")
                stage.wait(PHASE_LASTS)
                stage.mark(PHASE)
            stage.wait(CALM / 4)

    plan = Plan(name="p", seed=0, rate=4.0, batch=2, seconds=0.001, extras=False)
    setup = Setup(trees=1, concurrency=100)
    return Scenario(name="maxmemory", play=play, setup=setup, plan=plan)


def _fill(stage: Stage) -> None:
    """A backlog for workers that are held back meanwhile."""
    app = Ferryman(**msgspec.structs.asdict(stage.direct))
    app.queues.pause("default")
    many = Plan(
        name="backlog",
        seed=0,
        rate=40.0,
        batch=500,
        jobs=BACKLOG,
        seconds=0.001,
        extras=False,
    )
    producer = stage.produce(many)
    until(lambda: producer.poll() is not None, 300, "the backlog is there", 0.1)
    app.queues.resume("default")
    app.close()


STRIKES: Final = (
    *(processes.process_killed,) * 5,
    *(processes.tree_killed,) * 3,
    *(processes.supervisor_killed,) * 2,
)
"""What kills in an endurance run, in proportion."""

LONG_MIX: Final = {
    "work": 900,
    "work_in_thread": 60,
    "report": 5,
    "fail_once": 10,
    "fail": 2,
    "snooze": 5,
    "work_isolated": 2,
}


class Length(NamedTuple):
    """How long an endurance run is: jobs, kills, and the jobs that are enqueued in a second,
    which must be as many as the machine can stand."""

    jobs: int = 1_000_000
    kills: int = 1000
    rate: float = 450.0


def endurance(deployment: Deployment, length: Length) -> Scenario:
    """So many jobs and kills, and a restart of each server every 5 to 40 s."""
    outages = list(_outages(deployment))

    def play(stage: Stage) -> None:
        done, due = 0, dict.fromkeys(outages, time.monotonic() + SOONEST)
        while done < length.kills or any(one.poll() is None for one in stage.producers):
            stage.wait(stage.random.expovariate(1 / KILL_EVERY) if done < length.kills else CALM)
            stage.keep_trees()
            if done < length.kills:
                done += 1
                with stage.random.choice(STRIKES)(stage):
                    pass
            for inject in [inject for inject, at in due.items() if at <= time.monotonic()]:
                with inject(stage):
                    stage.wait(0.3)
                due[inject] = time.monotonic() + stage.random.uniform(SOONEST, LATEST)

    plan = Plan(
        name="p",
        seed=0,
        rate=length.rate / JOBS_OF_A_CALL,
        jobs=length.jobs,
        batch=100,
        seconds=0.1,
        mix=LONG_MIX,
    )
    setup = Setup(trees=3, concurrency=64, environment={"CHAOS_EAGER": "1"})
    command = f"endure --jobs {length.jobs} --kills {length.kills} --rate {length.rate:g}"
    return Scenario(
        name="endurance", play=play, setup=setup, plan=plan, drain=1800.0, command=command
    )


def _outages(deployment: Deployment) -> Iterator[Inject]:
    if deployment.valkey:
        yield keystores.restarted
    if deployment.lane:
        yield keystores.flushed
    if deployment.database == "postgresql":
        yield databases.stopped_at_once
