"""The runner: plays a scenario on a stage, has it come to rest, and has its history judged."""

import asyncio
import datetime
import shlex
import shutil
import time

from chaos import audit, results
from chaos.checker import judge
from chaos.lives import Lives
from chaos.measures import measure
from chaos.results import KEPT, Outcome
from chaos.scenarios import Scenario
from chaos.stage import Deployment, Stage


def run(scenario: Scenario, deployment: Deployment, seed: int) -> Outcome:
    """Play a scenario, and judge it."""
    began, moment = time.monotonic(), datetime.datetime.now(datetime.UTC)
    with Stage(deployment, scenario.setup, seed) as stage:
        forgets = scenario.power and deployment.database is None
        try:
            _play(stage, scenario)
            lives = Lives.of(stage.history, slack=2 * scenario.setup.lease)
            judgement, measures = judge(lives, power=not forgets), measure(lives)
        except Exception as error:
            error.add_note(f"what it left behind is in {_keep(stage, scenario)}")
            raise
        kept = "" if judgement.good else _keep(stage, scenario)
    command = scenario.command or f"run {shlex.quote(scenario.name)}"
    return Outcome(
        scenario=scenario.name,
        deployment=deployment.name,
        seed=seed,
        seconds=round(time.monotonic() - began, 1),
        again=f"python -m chaos {command} --on {deployment.name} --seed {seed}",
        judgement=judgement,
        measures=measures,
        kept=kept,
        machine=results.machine(),
        commit=results.commit(),
        began=moment.isoformat(timespec="seconds"),
    )


def _play(stage: Stage, scenario: Scenario) -> None:
    stage.start_trees()
    for _ in range(scenario.producers):
        stage.produce(scenario.plan)
    stage.until_flowing()
    scenario.play(stage)
    _come_to_rest(stage, scenario.drain)


def _come_to_rest(stage: Stage, limit: float) -> None:
    """Everything is healed: what was asked for must be done now, with nobody's help."""
    stage.mark("draining")
    stage.keep_trees()
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
    kept = KEPT / name.replace(" ", "-")
    kept.mkdir(parents=True)
    shutil.copytree(stage.history, kept / "history")
    for log in stage.folder.glob("*.log"):
        shutil.copy(log, kept)
    return str(kept)
