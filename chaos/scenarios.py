"""Scenarios: which faults a run has, and when; everything that is drawn comes from the seed."""

import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec

from chaos import faults
from chaos.faults import Fault
from chaos.plan import Plan
from chaos.stage import Deployment, Setup, Stage

CALM: Final = 1.0
"""Seconds of work before a fault and after it."""

LONG: Final = 10.0
"""Seconds from which on a fault is injected only once."""

MIX: Final = {
    "work": 12,
    "work_in_thread": 4,
    "report": 3,
    "fail_once": 2,
    "fail": 1,
    "snooze": 1,
}
"""Tasks of the jobs among which faults are injected, in proportion."""

STORM: Final = 30.0
"""Seconds of faults, and then of healing, where all come at once."""

Play = Callable[[Stage], None]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A run: how the stage is set up, what is produced, and what is done to it.

    Attributes:
        power: the store may forget what it acknowledged, as far as its promise allows that.
        drain: seconds that the system may take to come to rest.
        command: what runs it; empty is: `run` with its name.
    """

    name: str
    play: Play
    setup: Setup = Setup()
    plan: Plan = Plan(name="p", seed=0, rate=20.0, seconds=0.4, mix=MIX)
    producers: int = 1
    power: bool = False
    drain: float = 90.0
    command: str = ""


def alone(fault: Fault, setup: Setup | None = None) -> Scenario:
    """One fault, twice if it is short, among ordinary work."""

    def play(stage: Stage) -> None:
        for _ in range(1 if fault.lasts(stage.setup.lease) > LONG else 2):
            stage.wait(CALM)
            with fault.inject(stage):
                stage.wait(fault.lasts(stage.setup.lease))
            stage.keep_trees()
            stage.wait(CALM)

    changed = msgspec.structs.replace(setup or Setup(), **fault.setup)
    plan = Plan(name="p", seed=0, rate=20.0, seconds=0.4, mix=MIX | fault.mix)
    return Scenario(name=fault.name, play=play, setup=changed, plan=plan, power=fault.power)


def several(
    name: str, kinds: list[Fault], setup: Setup | None = None, plan: Plan | None = None
) -> Scenario:
    """Some faults, one after the other on one stage."""
    changed = setup or Setup()
    for fault in kinds:
        changed = msgspec.structs.replace(changed, **fault.setup)

    def play(stage: Stage) -> None:
        stage.wait(CALM)
        for fault in kinds:
            with fault.inject(stage):
                stage.wait(fault.lasts(stage.setup.lease))
            stage.keep_trees()
            stage.wait(CALM)

    plan = plan or Plan(name="p", seed=0, rate=20.0, seconds=0.4, mix=MIX)
    return Scenario(name=name, play=play, setup=changed, plan=plan)


SMOKE: Final = {
    "valkey": ("process killed", "valkey clients killed", "valkey restarted"),
    "sqlite": ("process killed", "children killed", "tree killed"),
    "postgresql": ("process killed", "postgresql stopped at once"),
    "hybrid-sqlite": ("process killed", "lane flushed", "valkey restarted"),
    "hybrid-postgresql": ("tree killed", "postgresql connections ended", "lane flushed"),
}
"""What a smoke test injects, by deployment."""


def smoke(deployment: Deployment) -> Scenario:
    """A short run on a machine that does much else, so with few jobs and patient leases."""
    kinds = [faults.ALL[name] for name in SMOKE[deployment.name]]
    setup = Setup(lease=5.0, trees=1, processes=2)
    plan = Plan(name="p", seed=0, rate=10.0, batch=5, seconds=0.4, mix=MIX | {"work_isolated": 2})
    return several("smoke", kinds, setup, plan)


def quiet(seconds: float = 5.0, setup: Setup | None = None) -> Scenario:
    """No fault at all: nothing may be done twice."""
    return Scenario(name="quiet", play=lambda stage: stage.wait(seconds), setup=setup or Setup())


def everything(
    deployment: Deployment, rounds: int = 1, storm: float = STORM, setup: Setup | None = None
) -> Scenario:
    """Faults of all kinds at once, healing, and again."""
    kinds = [one for one in faults.ALL.values() if one.applies(deployment) and one.joins]

    def play(stage: Stage) -> None:
        for _ in range(rounds):
            stage.mark("storm")
            _storm(stage, kinds, storm)
            stage.keep_trees()
            stage.mark("healing")
            stage.wait(storm)

    plan = Plan(name="p", seed=0, rate=20.0, seconds=0.4, mix=MIX | {"work_isolated": 2})
    base = setup or Setup(trees=3, processes=2)
    return Scenario(
        name="everything",
        play=play,
        setup=msgspec.structs.replace(base, proxied=True),
        plan=plan,
        drain=180.0,
    )


def _storm(stage: Stage, kinds: list[Fault], seconds: float) -> None:
    """Begin a fault now and then; each is healed when its time has come."""
    ends = time.monotonic() + seconds
    healing: list[tuple[float, str, contextlib.ExitStack]] = []
    while time.monotonic() < ends:
        stage.wait(stage.random.expovariate(1.0))
        _heal(healing, time.monotonic())
        stage.keep_trees()
        fault = stage.random.choice(kinds)
        if fault.name not in {name for _, name, _ in healing}:
            begun = contextlib.ExitStack()
            begun.enter_context(fault.inject(stage))
            lasts = stage.random.uniform(0.3, 1.0) * fault.lasts(stage.setup.lease)
            healing.append((time.monotonic() + lasts, fault.name, begun))
    for _, _, begun in healing:
        begun.close()


def _heal(healing: list[tuple[float, str, contextlib.ExitStack]], moment: float) -> None:
    for one in [one for one in healing if one[0] <= moment]:
        healing.remove(one)
        one[2].close()
