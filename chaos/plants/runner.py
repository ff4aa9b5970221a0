"""Runs scripts with a planted fault and without: it must be caught, and nothing else found."""

import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import msgspec

from chaos import results
from chaos.checker import Judgement, judge
from chaos.lives import Lives
from chaos.plants import PLANT, catalogue, checks, scripts
from chaos.plants.plant import Plant
from chaos.plants.scripts import Script
from chaos.runner import _come_to_rest, _keep
from chaos.scenarios import Scenario
from chaos.servers import start
from chaos.stage import DEPLOYMENTS, Setup, Stage
from chaos.trees import ROOT

KEPT: Final = results.KEPT / "planted"

AT_ONCE: Final = 3
"""Runs that are under way together."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A script on a deployment, with a planted fault or ("") without one."""

    script: str
    deployment: str
    plant: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial came to: how many anomalies of each kind, and the first of them in words.

    Attributes:
        broken: why there is no history to judge.
        kept: where the history is, if nobody expected it to be as it is.
        machine, commit: where, and of which state of the code.
    """

    trial: Trial
    anomalies: dict[str, int]
    example: str
    jobs: int
    faults: int
    seconds: float
    broken: str = ""
    kept: str = ""
    machine: str = ""
    commit: str = ""

    @property
    def right(self) -> bool:
        """Whether the fault was caught, or nothing was found where there is none."""
        if self.broken:
            return False
        if not self.trial.plant:
            return not self.anomalies
        expected = catalogue.ALL[self.trial.plant].expects
        return any(kind in self.anomalies for kind in expected)


def trials(plants: Iterable[Plant]) -> list[Trial]:
    """The plants on their deployments; then what they were planted in, without them."""
    planted = [
        Trial(script=one.script, deployment=name, plant=one.name)
        for one in plants
        for name in one.on
    ]
    clean = {(one.script, one.deployment) for one in planted}
    return planted + [Trial(script=one, deployment=name) for one, name in sorted(clean)]


def run_all(wanted: list[Trial], at_once: int = AT_ONCE) -> Iterator[Verdict]:
    """Run trials, some at a time; each in a process, which its servers end with."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=context, max_tasks_per_child=1) as pool:
        for future in as_completed([pool.submit(run, one) for one in wanted]):
            yield future.result()


def run(trial: Trial) -> Verdict:
    """Run one, and judge it."""
    began = time.monotonic()
    script = scripts.ALL[trial.script]
    try:
        with Stage(DEPLOYMENTS[trial.deployment], _setup(script, trial.plant), seed=1) as stage:
            judgement, said = _played(stage, script)
            verdict = Verdict(
                trial=trial,
                anomalies=dict(judgement.anomalies) | {kind: len(some) for kind, some in said},
                example=_example(trial, judgement, said),
                jobs=judgement.jobs,
                faults=sum(n for name, n in judgement.faults.items() if name != "lag"),
                seconds=round(time.monotonic() - began, 1),
                machine=results.machine(),
                commit=results.commit(),
            )
            if not verdict.right:
                name = f"{trial.script} {trial.plant or 'no plant'}"
                kept = _keep(stage, Scenario(name=name, play=lambda _: None))
                verdict = msgspec.structs.replace(verdict, kept=kept)
            return verdict
    except Exception as error:
        return Verdict(
            trial=trial,
            anomalies={},
            example="",
            jobs=0,
            faults=0,
            seconds=round(time.monotonic() - began, 1),
            broken=f"{type(error).__name__}: {error}",
            machine=results.machine(),
            commit=results.commit(),
        )


def _setup(script: Script, plant: str) -> Setup:
    environment = script.setup.environment | ({PLANT: plant} if plant else {})
    return msgspec.structs.replace(script.setup, environment=environment)


Said = list[tuple[str, list[str]]]
"""What each further check has found."""


def _played(stage: Stage, script: Script) -> tuple[Judgement, Said]:
    stage.start_trees()
    given = msgspec.json.encode(script.steps).decode()
    stage.producers.append(
        start(
            [sys.executable, "-m", "chaos.plants.client", given],
            stage.folder / "client.log",
            cwd=ROOT,
            env=stage.environment(),
        )
    )
    script.play(stage)
    scripts.until_done(stage, script)
    # What a planted fault keeps from its end need not be waited for so long.
    _come_to_rest(stage, script.drain / 2 if PLANT in stage.setup.environment else script.drain)
    lives = Lives.of(stage.history, slack=2 * script.setup.lease)
    said = [(name, list(checks.ALL[name](lives))) for name in script.checks]
    return judge(lives), [(name, some) for name, some in said if some]


def _example(trial: Trial, judgement: Judgement, said: Said) -> str:
    """An anomaly that was expected, or else any."""
    found = judgement.examples | dict(said)
    expected = catalogue.ALL[trial.plant].expects if trial.plant else ()
    for kind in [*expected, *found]:
        if kind in found:
            return f"{kind}: {found[kind][0]}"
    return ""


# -- the table -----------------------------------------------------------------------------------


def told(verdict: Verdict) -> str:
    """A trial in one line, or more where it went wrong."""
    trial = verdict.trial
    if trial.plant:
        mark = "caught" if verdict.right else "MISSED"
    else:
        mark = "clean " if verdict.right else "FAILED"
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(verdict.anomalies.items()))
    name = trial.plant or f"({trial.script})"
    line = f"{mark} {trial.deployment:<18} {name:<36} {verdict.seconds:>5.1f} s  {kinds}"
    more = [f"  {verdict.example}"] if verdict.example and not verdict.right else []
    more += [f"  {verdict.broken}"] if verdict.broken else []
    more += [f"  history: {verdict.kept}"] if verdict.kept else []
    return "\n".join([line, *more])


def table(verdicts: Iterable[Verdict]) -> str:
    """All trials with a planted fault, as a table in Markdown."""
    lines = [
        "| planted fault | on | script | jobs | faults | caught as |",
        "|---|---|---|--:|--:|---|",
    ]
    order = list(catalogue.ALL)
    mine = [one for one in verdicts if one.trial.plant]
    for one in sorted(mine, key=lambda one: (order.index(one.trial.plant), one.trial.deployment)):
        plant = catalogue.ALL[one.trial.plant]
        kinds = [kind for kind in plant.expects if kind in one.anomalies]
        caught = ", ".join(f"`{kind}`" for kind in kinds) or "**missed**"
        lines.append(
            f"| {plant.name}: {plant.what} | {one.trial.deployment} | {plant.script} "
            f"| {one.jobs} | {one.faults} | {caught} |"
        )
    return "\n".join(lines)


def summary(verdicts: list[Verdict]) -> str:
    """How many of the planted faults were caught, and how often nothing was found without."""
    planted = [one for one in verdicts if one.trial.plant]
    clean = [one for one in verdicts if not one.trial.plant]
    faults = {one.trial.plant for one in planted}
    missed = {one.trial.plant for one in planted if not one.right}
    return (
        f"planted faults caught: {len(faults - missed)} of {len(faults)}, in {len(planted)} runs; "
        f"the same without them, and nothing found: {sum(one.right for one in clean)} "
        f"of {len(clean)}"
    )


def save(verdict: Verdict) -> None:
    """Keep it in place of an older one."""
    trial = verdict.trial
    name = f"{trial.deployment} {trial.script} {trial.plant}".replace(":", "").strip()
    results.save(verdict, KEPT / f"{name}.json")


def load(folder: Path = KEPT) -> list[Verdict]:
    """All that are kept."""
    return results.load_all(folder, Verdict)


def main(names: list[str], at_once: int) -> int:
    """Run the plants of these names, or all, and keep what that came to; the exit code is 0 if
    all went as it must."""
    began = time.monotonic()
    plants = [catalogue.ALL[name] for name in names] or list(catalogue.PLANTS)
    verdicts: list[Verdict] = []
    for verdict in run_all(trials(plants), at_once):
        verdicts.append(verdict)
        save(verdict)
        print(told(verdict), flush=True)
    print(f"{summary(verdicts)}; {time.monotonic() - began:.0f} s")
    return 0 if all(one.right for one in verdicts) else 1
