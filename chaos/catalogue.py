"""The catalogue: every scenario by name, and on which deployments it makes sense."""

from collections.abc import Callable, Iterator
from typing import Final

from chaos import faults, scenarios, trials
from chaos.scenarios import Scenario
from chaos.stage import Deployment

TRIALS: Final[dict[str, Callable[[], Scenario]]] = {
    "hosts killed": trials.killed_trees,
    "children killed often": trials.killed_children,
    "zombies": trials.zombies,
    "maxmemory": trials.at_the_memory_limit,
}


def named(name: str, deployment: Deployment) -> Scenario:
    """The scenario of this name."""
    match name:
        case "quiet":
            return scenarios.quiet()
        case "smoke":
            return scenarios.smoke(deployment)
        case "everything":
            return scenarios.everything(deployment)
        case _ if name in TRIALS:
            return TRIALS[name]()
        case _:
            return scenarios.alone(faults.ALL[name])


def names(deployment: Deployment) -> Iterator[str]:
    """Every scenario of a deployment, the calmest first."""
    yield from ("quiet", "smoke")
    yield from (name for name, fault in faults.ALL.items() if fault.applies(deployment))
    yield from (name for name in TRIALS if name != "maxmemory" or deployment.valkey)
    yield "everything"
