"""Faults that jobs bring along: poison, crashes, too much memory, a loop that is blocked."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Final

from chaos.faults.base import Fault
from chaos.plan import Plan
from chaos.stage import Stage

NEXT: Final = "chaos.jobs_next:app"
"""The application in its next release."""

BLOCKED: Final = 10.0
"""Leases for which a job blocks its worker process."""


@contextlib.contextmanager
def harmful(stage: Stage, task: str, seconds: float, leases: float) -> Iterator[None]:
    """Two jobs of this task among the others."""
    lasts = seconds + leases * stage.setup.lease
    plan = Plan(
        name=task, seed=0, rate=2.0, jobs=2, mix={task: 1}, seconds=lasts, extras=False, batch=1
    )
    producer = stage.produce(plan)
    with stage.fault(f"{task} job", "none"):
        yield
    producer.wait()


@contextlib.contextmanager
def skewed(stage: Stage) -> Iterator[None]:
    """A release comes in that knows one task more, and arguments of a newer layout."""
    stage.start_tree(NEXT).until_working()
    mix = {"work_next": 1, "work": 1}
    plan = Plan(name="next", seed=0, rate=20.0, mix=mix, version=2, extras=False)
    with stage.fault("version skew", "none"):
        newer = stage.produce(plan)
        yield
        newer.terminate()
        newer.wait()
    with stage.fault("old release goes", "process", stage.everyone()):
        for tree in [tree for tree in stage.trees if tree.app != NEXT]:
            tree.stop(30)
            stage.trees.remove(tree)
            stage.start_tree(NEXT)


def _fault(task: str, seconds: float = 0.2, leases: float = 0.0, hold: float = 3.0) -> Fault:
    inject = partial(harmful, task=task, seconds=seconds, leases=leases)
    return Fault(name=f"{task} job", inject=inject, hold=hold, leases=leases)


FAULTS: Final = (
    _fault("poison"),
    _fault("crash"),
    _fault("eat", hold=5.0),
    _fault("block", leases=BLOCKED),
    _fault("hold", leases=BLOCKED),
    _fault("crowd", leases=BLOCKED / 2),
    Fault(name="version skew", inject=skewed, hold=3.0, joins=False),
)
