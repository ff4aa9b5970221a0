"""The runner: plays a scenario on a stage, has it come to rest, and has its history judged."""

import asyncio
import shlex
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from chaos import audit
from chaos.checker import Judgement, check
from chaos.scenarios import Scenario
from chaos.stage import Deployment, Stage

KEEP: Final = Path(".chaos")
"""Where the histories of failed runs are kept, below the working directory."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    scenario: str
    deployment: str
    seed: int
    seconds: float
    points: list[str]
    judgement: Judgement
    kept: str = ""

    @property
    def command(self) -> str:
        """What repeats the run."""
        name = shlex.quote(self.scenario)
        return f"python -m chaos run {name} --on {self.deployment} --seed {self.seed}"

    def told(self) -> str:
        """The run in a few lines: one where it was good."""
        judgement = self.judgement
        counts = judgement.counts
        line = (
            f"{'ok  ' if judgement.good else 'FAIL'} {self.deployment:<18} {self.scenario:<30} "
            f"{counts['acknowledged']:>7} jobs {sum(judgement.faults.values()):>4} faults "
            f"{sum(judgement.exposures.values()):>6} exposed "
            f"{counts['explained duplicates']:>5} explained "
            f"{sum(judgement.tolerated.values()):>4} tolerated {self.seconds:>6.1f} s"
        )
        if judgement.good:
            return line
        examples = [f"  {kind}: {one}" for kind, some in judgement.examples.items() for one in some]
        where = f"  history: {self.kept}"
        return "\n".join([line, *examples, where, f"  again: {self.command}"])


def run(scenario: Scenario, deployment: Deployment, seed: int) -> Outcome:
    """Play a scenario, and judge it."""
    began = time.monotonic()
    with Stage(deployment, scenario.setup, seed) as stage:
        stage.start_trees()
        for _ in range(scenario.producers):
            stage.produce(scenario.plan)
        stage.until_flowing()
        scenario.play(stage)
        _come_to_rest(stage, scenario.drain)
        judgement = check(
            stage.history,
            lease=scenario.setup.lease,
            power=not (scenario.power and deployment.database is None),
        )
        kept = "" if judgement.good else _keep(stage, scenario)
        points = stage.points_met()
    return Outcome(
        scenario=scenario.name,
        deployment=deployment.name,
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
        points=points,
        judgement=judgement,
        kept=kept,
    )


def _come_to_rest(stage: Stage, limit: float) -> None:
    """Everything is healed: what was asked for must be done now, with nobody's help."""
    stage.mark("draining")
    stage.keep_trees()
    stage.disarm()
    error, lane = "", ""
    try:
        stage.stop_producers()
    except TimeoutError as late:
        error = str(late)
    error = error or asyncio.run(audit.drained(stage.direct, limit))
    if stage.deployment.lane and not error:
        lane = audit.lane_at_rest(stage.direct)
    for tree in stage.trees:
        tree.stop(30)
    audit.write_down(stage.recorder, stage.direct, error, lane)


def _keep(stage: Stage, scenario: Scenario) -> str:
    """A copy of what a failed run has left behind."""
    name = f"{scenario.name}-{stage.deployment.name}-{stage.seed}-{time.time_ns()}"
    kept = KEEP / name.replace(" ", "-")
    kept.mkdir(parents=True)
    shutil.copytree(stage.history, kept / "history")
    for log in stage.folder.glob("*.log"):
        shutil.copy(log, kept)
    return str(kept)
