"""The fault harness.

python -m chaos list
python -m chaos run [SCENARIO…] --on DEPLOYMENT [--seed N]
python -m chaos endure --on DEPLOYMENT [--jobs N] [--kills N] [--rate N] [--seed N]
python -m chaos peers [NAME…]
python -m chaos check HISTORY --lease SECONDS
python -m chaos planted [PLANT…]
python -m chaos points [--pairs] [--on DEPLOYMENT]
python -m chaos report
"""

import argparse
import random
import sys
from pathlib import Path

from chaos import points, report
from chaos.catalogue import named, names
from chaos.checker import check
from chaos.peers import contest
from chaos.plants import catalogue as planted
from chaos.plants import runner as plants
from chaos.runner import run
from chaos.scenarios import Scenario
from chaos.stage import DEPLOYMENTS, Deployment
from chaos.trials import Length, endurance


def main() -> int:
    """Do what the command line says; the exit code is 0 if every history was good."""
    given = _parser().parse_args()
    match given.command:
        case "list":
            for deployment in DEPLOYMENTS.values():
                print(f"{deployment.name}: {', '.join(names(deployment))}")
            return 0
        case "run":
            return _run(given.scenarios, given.on or list(DEPLOYMENTS), given.seed)
        case "points":
            chosen = [DEPLOYMENTS[name] for name in given.on or DEPLOYMENTS]
            request = points.Request(
                deployments=tuple(one.name for one in chosen if one.lane or not given.pairs),
                seed=given.seed,
                pairs=given.pairs,
                only=given.only,
            )
            return points.main(request)
        case "planted":
            if unknown := [name for name in given.plants if name not in planted.ALL]:
                _parser().error(
                    f"no such plant: {unknown[0]!r}; there are: {', '.join(planted.ALL)}"
                )
            return plants.main(given.plants, given.at_once)
        case "endure":
            length = Length(given.jobs, given.kills, given.rate)
            deployment = DEPLOYMENTS[given.on]
            return 1 - _good(endurance(deployment, length), deployment, given.seed)
        case "peers":
            return _peers(given.names, given.seed)
        case "report":
            return _report()
        case _:
            judgement = check(given.history, lease=given.lease)
            print(judgement)
            return 0 if judgement.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every scenario of every deployment")
    some = commands.add_parser("run", help="run scenarios; all of a deployment where none is named")
    some.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    some.add_argument("--on", choices=DEPLOYMENTS, action="append", metavar="DEPLOYMENT")
    some.add_argument("--seed", type=int)
    long = commands.add_parser("endure", help="many jobs and kills: 40 minutes as it comes")
    long.add_argument("--on", choices=DEPLOYMENTS, default="hybrid-postgresql")
    long.add_argument("--jobs", type=int, default=Length().jobs)
    long.add_argument("--kills", type=int, default=Length().kills)
    long.add_argument("--rate", type=float, default=Length().rate, help="jobs enqueued in a second")
    long.add_argument("--seed", type=int)
    judge = commands.add_parser("check", help="judge a history that was kept")
    judge.add_argument("history", type=Path)
    judge.add_argument("--lease", type=float, default=3.0)
    others = commands.add_parser("peers", help="the same faults for other systems")
    others.add_argument("names", nargs="*", metavar="NAME", help=" | ".join(contest.ENTRIES))
    others.add_argument("--seed", type=int, default=1)
    proof = commands.add_parser("planted", help="see whether each planted fault is caught")
    proof.add_argument("plants", nargs="*", metavar="PLANT")
    proof.add_argument("--at-once", type=int, default=3, metavar="RUNS")
    crash = commands.add_parser("points", help="kill a process at each point, one after the other")
    crash.add_argument("--on", choices=DEPLOYMENTS, action="append", metavar="DEPLOYMENT")
    crash.add_argument("--pairs", action="store_true", help="a worker and a sweep, where one is")
    crash.add_argument("--only", default="", metavar="PART", help="points with this in their names")
    crash.add_argument("--seed", type=int, default=1)
    commands.add_parser("report", help="write what all runs came to into the docs")
    return parser


def _run(scenarios: list[str], deployments: list[str], seed: int | None) -> int:
    failed = 0
    for name in deployments:
        deployment = DEPLOYMENTS[name]
        known = list(names(deployment))
        for scenario in [one for one in scenarios or known if one in known]:
            failed += not _good(named(scenario, deployment), deployment, seed)
    return 1 if failed else 0


def _peers(wanted: list[str], seed: int) -> int:
    """Whatever it comes to is kept: these are no tests."""
    for entry in contest.ENTRIES.values():
        if not wanted or entry.name in wanted:
            result = contest.play(entry, seed)
            contest.save(result)
            print(result.told(), flush=True)
    return 0


def _report() -> int:
    parts = list(report.parts())
    for part in parts:
        report.write(part)
        print(f"wrote the {part.name} into {part.page}")
    if not parts:
        print("there are no results here: run some scenarios first")
        return 1
    return 0


def _good(scenario: Scenario, deployment: Deployment, seed: int | None) -> bool:
    """Run it, keep what it came to and tell it; whether its history was good."""
    outcome = run(scenario, deployment, random.getrandbits(32) if seed is None else seed)
    outcome.save()
    print(outcome.told(), flush=True)
    return outcome.judgement.good


if __name__ == "__main__":
    sys.exit(main())
