"""Crash points: a process is killed before and after each call to a server, one point at a time.

What the points are, a survey finds out: the same work, in which every verb is made, and nobody
dies. Then each is aimed at in its turn while the work goes on. All of a deployment happens in one
history, in which each aim has a mark; so what is wrong with a job is put down to the point that was
aimed at when it was enqueued, or ran. With pairs, a worker dies at one point and a supervisor
within its sweep.
"""

import itertools
import multiprocessing
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import msgspec

from chaos import failpoints, results
from chaos.checker import Judgement, judge
from chaos.lives import SECOND, Lives
from chaos.plan import Plan
from chaos.provocations import Provocations
from chaos.runner import _come_to_rest, _keep
from chaos.scenarios import MIX, Scenario
from chaos.stage import DEPLOYMENTS, Deployment, Setup, Stage

VERBS: Final[dict[str, tuple[str, ...]]] = {
    "producer": ("submit", "cancel", "retry"),
    "process": ("claim", "finish", "finish_and_claim", "progress", "hand_back"),
    "supervisor": ("renew", "reap", "promote", "hand_back"),
}
"""The verbs whose calls have points, by who makes them."""

LANE_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "producer": ("push",),
    "process": (),
    "supervisor": ("push", "sweep"),
}
"""Those that there are with a lane, too."""

KEPT: Final = results.KEPT / "points"

SURVEY: Final = 15.0
"""Seconds in which the points are looked for."""

REACHED_WITHIN: Final = 60.0
"""Seconds in which a process must come to the point that is aimed at."""

PROVOKED_EVERY: Final = 3.0

PRODUCERS: Final = 2

AT_ONCE: Final = 2
"""Deployments that are marched through together."""

SETUP: Final = Setup(
    trees=3,
    processes=1,
    concurrency=8,
    lease=3.0,
    environment={
        failpoints.POINTS: "{folder}/points",
        "CHAOS_EAGER": "1",
    },
)

PLAN: Final = Plan(name="p", seed=0, rate=8.0, batch=4, seconds=0.2, mix=MIX)


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a point, or of a pair of them.

    Attributes:
        reached: a process died there.
        anomalies: what was found wrong with jobs of that time.
    """

    names: tuple[str, ...]
    reached: bool
    anomalies: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether a process died there, and nothing came of it."""
        return self.reached and not self.anomalies


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the points of a deployment came to.

    Attributes:
        missing: verbs, by who makes them, of which not one point was seen.
        anomalies: all that was found, also what no point is to blame for.
        machine, commit: where, and of which state of the code.
    """

    deployment: str
    points: list[Point]
    missing: list[str]
    anomalies: dict[str, int]
    jobs: int
    kills: int
    seconds: float
    kept: str = ""
    pairs: bool = False
    machine: str = ""
    commit: str = ""

    @property
    def good(self) -> bool:
        """Whether there is a point for each verb, and each passes."""
        return not self.missing and not self.anomalies and all(one.passes for one in self.points)

    def told(self) -> str:
        """In a line, and one for each point that does not pass."""
        passed = sum(one.passes for one in self.points)
        lines = [
            f"{'ok  ' if self.good else 'FAIL'} {self.deployment:<18} {passed} of "
            f"{len(self.points)} pass; {self.kills} kills, {self.jobs} jobs, {self.seconds:.0f} s"
        ]
        lines += [f"  no point of {name} was seen" for name in self.missing]
        for one in self.points:
            if not one.passes:
                what = "; ".join(one.anomalies) or "never reached"
                lines.append(f"  {' and '.join(one.names)}: {what}")
        if self.anomalies:
            lines.append(f"  in all: {self.anomalies}; history: {self.kept}")
        return "\n".join(lines)


# -- which there are -----------------------------------------------------------------------------


def wanted(deployment: Deployment) -> dict[str, tuple[str, ...]]:
    """The verbs that must have points there, by who makes them."""
    if not deployment.lane:
        return VERBS
    return {role: verbs + LANE_VERBS[role] for role, verbs in VERBS.items()}


def enumerated(deployment: Deployment, seen: Iterable[str]) -> list[str]:
    """Those of the points that were seen which count: of the verbs that are listed."""
    verbs = {f"{role}.{verb}" for role, some in wanted(deployment).items() for verb in some}
    return sorted(point for point in seen if point.partition(":")[0] in verbs)


def missing(deployment: Deployment, points: Iterable[str]) -> list[str]:
    """Verbs that have no point before and after a call."""
    found = {(point.partition(":")[0], point.rpartition(":")[2]) for point in points}
    return [
        f"{role}.{verb}"
        for role, verbs in wanted(deployment).items()
        for verb in verbs
        if not {(f"{role}.{verb}", "before"), (f"{role}.{verb}", "after")} <= found
    ]


# -- the run -------------------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to march through."""

    deployments: tuple[str, ...]
    seed: int = 1
    pairs: bool = False
    only: str = ""


class March:
    """Goes from point to point on one stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._provocations = Provocations(stage, PRODUCERS)

    def survey(self) -> list[str]:
        """The points that processes come past, in ordinary work and when others die."""
        ends = time.monotonic() + SURVEY
        while time.monotonic() < ends:
            self._stage.wait(SURVEY / 5)
            self._provocations.kill()
            self._provocations.heal()
        return enumerated(self._stage.deployment, self._stage.points_seen())

    def everywhere(self, request: Request) -> tuple[dict[tuple[str, ...], bool], list[str]]:
        """Aim at all points, or pairs; says which were reached, and which points there are."""
        points = self.survey()
        reached: dict[tuple[str, ...], bool] = {}
        waiting = deque(_targets(points, request.pairs))
        while waiting:
            names = waiting.popleft()
            if request.only not in " ".join(names):
                continue
            again = names in reached
            reached[names] = self.aim(names)
            if not reached[names] and not again:
                waiting.append(names)
            seen = enumerated(self._stage.deployment, self._stage.points_seen())
            new = [point for point in seen if point not in points]
            points += new
            if not request.pairs:
                waiting.extend((point,) for point in new)
        return reached, points

    def aim(self, names: tuple[str, ...]) -> bool:
        """Have processes die at these points; whether they did."""
        stage = self._stage
        if len(names) > 1:
            for name in names:
                (stage.points / name).unlink(missing_ok=True)
        stage.mark(" and ".join(names))
        failpoints.aim(stage.points, names)
        began = time.monotonic()
        provoked = began
        while not all((stage.points / name).exists() for name in names):
            moment = time.monotonic()
            if moment > began + REACHED_WITHIN:
                return False
            if moment > provoked + PROVOKED_EVERY or (moment > provoked and self._needs(names)):
                self._provocations.for_point(names[0])
                provoked = moment + PROVOKED_EVERY
            self._provocations.heal()
            stage.wait(0.05)
        self._provocations.heal()
        return True

    def _needs(self, names: Iterable[str]) -> bool:
        """Whether a process has to die for somebody to come to one of these points."""
        return any(
            name.startswith(("supervisor.reap", "supervisor.hand_back", "process.hand_back"))
            and not (self._stage.points / name).exists()
            for name in names
        )


def march(name: str, request: Request) -> Report:
    """Aim at each point of a deployment, or at each pair of a worker's and a sweep's."""
    began = time.monotonic()
    deployment = DEPLOYMENTS[name]
    with Stage(deployment, SETUP, request.seed) as stage:
        _begin(stage)
        stage.until_flowing()
        reached, points = March(stage).everywhere(request)
        lives, judgement, kept = _judged(stage)
        found = _blame(lives, judgement)
    made = [
        Point(names=names, reached=done, anomalies=tuple(found.get(" and ".join(names), ())))
        for names, done in reached.items()
    ]
    if not request.pairs:
        # What is done but once, at the very beginning, needs a beginning of its own.
        made = [one if one.reached else _at_birth(deployment, one.names, request) for one in made]
    return Report(
        deployment=deployment.name,
        points=made,
        missing=[] if request.only else missing(deployment, points),
        anomalies=dict(judgement.anomalies),
        jobs=judgement.jobs,
        kills=sum(len(one.names) for one in made if one.reached),
        seconds=round(time.monotonic() - began, 1),
        kept=kept,
        pairs=request.pairs,
        machine=results.machine(),
        commit=results.commit(),
    )


def _begin(stage: Stage) -> None:
    stage.start_trees()
    for _ in range(PRODUCERS):
        stage.produce(PLAN)


def _judged(stage: Stage) -> tuple[Lives, Judgement, str]:
    failpoints.aim(stage.points, ())
    stage.mark("the end")
    _come_to_rest(stage, 120.0)
    lives = Lives.of(stage.history, slack=2 * SETUP.lease)
    judgement = judge(lives)
    kept = ""
    if not judgement.good:
        kept = _keep(stage, Scenario(name="points", play=lambda _: None))
    return lives, judgement, kept


def _at_birth(deployment: Deployment, names: tuple[str, ...], request: Request) -> Point:
    """The same on a stage of its own, where processes die there from the beginning."""
    with Stage(deployment, SETUP, request.seed) as stage:
        failpoints.aim(stage.points, names)
        _begin(stage)
        reached = March(stage).aim(names)
        _, judgement, _ = _judged(stage)
    examples = [f"{kind}: {some[0]}" for kind, some in judgement.examples.items()]
    return Point(names=names, reached=reached, anomalies=tuple(examples))


def _targets(points: Iterable[str], pairs: bool) -> Iterator[tuple[str, ...]]:
    if not pairs:
        yield from ((point,) for point in points)
        return
    # Who dies after one call dies before the next.
    after = [point for point in points if point.endswith(":after")]
    sweeps = [point for point in after if point.startswith("supervisor.sweep")]
    workers = [point for point in after if point.startswith("process.")]
    yield from itertools.product(workers, sweeps)


def _blame(lives: Lives, judgement: Judgement) -> dict[str, list[str]]:
    """What is wrong with a job, by the mark of the aim in whose time it was last touched."""
    marks = sorted((mark.t, mark.what) for mark in lives.marks)
    blamed: dict[str, list[str]] = {}
    for kind, examples in judgement.examples.items():
        for example in examples:
            life = lives.jobs.get(example.partition(":")[0])
            if life is None:
                continue
            moments = [life.asked, life.acked, *(start.t for start in life.starts)]
            last = max(moments) + SECOND // 10
            for (begun, what), (ended, _) in itertools.pairwise([*marks, (last + 1, "")]):
                if begun <= last < ended:
                    blamed.setdefault(what, []).append(f"{kind}: {example}")
    return blamed


# -- the command ---------------------------------------------------------------------------------


def main(request: Request) -> int:
    """March through deployments, some at a time; the exit code is 0 if all points pass.

    What a deployment came to is kept, if that was all of it.
    """
    context = multiprocessing.get_context("spawn")
    reports, broken = [], 0
    with ProcessPoolExecutor(AT_ONCE, mp_context=context, max_tasks_per_child=1) as pool:
        begun = {pool.submit(march, name, request): name for name in request.deployments}
        for done in as_completed(begun):
            try:
                reports.append(done.result())
            except Exception as error:  # the others go on, and this one has failed
                traceback.print_exception(error)
                print(f"FAIL {begun[done]:<18} it broke off: {error!r}", flush=True)
                broken += 1
            else:
                print(reports[-1].told(), flush=True)
                if not request.only:
                    save(reports[-1])
    reports.sort(key=lambda report: request.deployments.index(report.deployment))
    print(table(reports))
    return 0 if not broken and all(report.good for report in reports) else 1


# -- what is kept --------------------------------------------------------------------------------


def save(report: Report) -> None:
    """Keep it in place of an older one."""
    results.save(report, KEPT / f"{report.deployment}{' pairs' if report.pairs else ''}.json")


def load(folder: Path = KEPT) -> list[Report]:
    """All that are kept, in the order of the deployments, those of pairs behind the others."""
    found = results.load_all(folder, Report)
    return sorted(found, key=lambda one: (one.pairs, list(DEPLOYMENTS).index(one.deployment)))


# -- the table -----------------------------------------------------------------------------------


def table(reports: list[Report]) -> str:
    """Points by verb and deployment: how many of how many pass."""
    verbs = list(dict.fromkeys(_verb(one) for report in reports for one in report.points))
    names = [report.deployment for report in reports]
    lines = [
        f"| | {' | '.join(names)} |",
        f"|---|{'--:|' * len(names)}",
    ]
    for verb in sorted(verbs):
        cells = []
        for report in reports:
            mine = [one for one in report.points if _verb(one) == verb]
            passed = sum(one.passes for one in mine)
            cells.append(f"{passed} of {len(mine)}" if mine else "")
        lines.append(f"| `{verb}` | {' | '.join(cells)} |")
    total = [
        f"**{sum(one.passes for one in report.points)} of {len(report.points)}**"
        for report in reports
    ]
    return "\n".join([*lines, f"| all | {' | '.join(total)} |"])


def _verb(point: Point) -> str:
    """Who makes which call, without its number."""
    return " and ".join(name.partition(":")[0] for name in point.names)
