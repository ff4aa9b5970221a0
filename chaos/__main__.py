"""The fault harness.

python -m chaos list
python -m chaos run [SCENARIO…] --on DEPLOYMENT [--seed N]
python -m chaos check HISTORY --lease SECONDS
python -m chaos planted [PLANT…] [--table FILE]
python -m chaos points [--pairs] [--on DEPLOYMENT] [--table FILE]
"""

import argparse
import random
import sys
from pathlib import Path

from chaos import points
from chaos.checker import check
from chaos.plants import catalogue
from chaos.plants import runner as plants
from chaos.runner import run
from chaos.scenarios import all_names, named
from chaos.stage import DEPLOYMENTS


def main() -> int:
    """Do what the command line says; the exit code is 0 if every history was good."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every scenario of every deployment")
    one = commands.add_parser("run", help="run scenarios; all of a deployment where none is named")
    one.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    one.add_argument("--on", choices=DEPLOYMENTS, action="append", metavar="DEPLOYMENT")
    one.add_argument("--seed", type=int)
    judge = commands.add_parser("check", help="judge a history that was kept")
    judge.add_argument("history", type=Path)
    judge.add_argument("--lease", type=float, default=3.0)
    proof = commands.add_parser("planted", help="see whether each planted fault is caught")
    proof.add_argument("plants", nargs="*", metavar="PLANT")
    proof.add_argument("--at-once", type=int, default=3, metavar="RUNS")
    proof.add_argument("--table", type=Path, metavar="FILE", help="write a table in Markdown")
    crash = commands.add_parser("points", help="kill a process at each point, one after the other")
    crash.add_argument("--on", choices=DEPLOYMENTS, action="append", metavar="DEPLOYMENT")
    crash.add_argument("--pairs", action="store_true", help="a worker and a sweep, where one is")
    crash.add_argument("--only", default="", metavar="PART", help="points with this in their names")
    crash.add_argument("--seed", type=int, default=1)
    crash.add_argument("--table", type=Path, metavar="FILE", help="write a table in Markdown")
    given = parser.parse_args()
    match given.command:
        case "list":
            for deployment in DEPLOYMENTS.values():
                print(f"{deployment.name}: {', '.join(all_names(deployment))}")
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
            return points.main(request, given.table)
        case "planted":
            if unknown := [name for name in given.plants if name not in catalogue.ALL]:
                parser.error(
                    f"no such plant: {unknown[0]!r}; there are: {', '.join(catalogue.ALL)}"
                )
            return plants.main(given.plants, given.at_once, given.table)
        case _:
            judgement = check(given.history, lease=given.lease)
            print(judgement)
            return 0 if judgement.good else 1


def _run(scenarios: list[str], deployments: list[str], seed: int | None) -> int:
    failed = 0
    for name in deployments:
        deployment = DEPLOYMENTS[name]
        for scenario in scenarios or all_names(deployment):
            if scenario not in all_names(deployment):
                continue
            drawn = random.getrandbits(32) if seed is None else seed
            outcome = run(named(scenario, deployment), deployment, drawn)
            failed += not outcome.judgement.good
            print(outcome.told(), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
