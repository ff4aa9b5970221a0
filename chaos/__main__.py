"""The fault harness.

python -m chaos list
python -m chaos run [SCENARIO…] --on DEPLOYMENT [--seed N]
python -m chaos check HISTORY --lease SECONDS
"""

import argparse
import random
import sys
from pathlib import Path

from chaos.checker import check
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
    given = parser.parse_args()
    match given.command:
        case "list":
            for deployment in DEPLOYMENTS.values():
                print(f"{deployment.name}: {', '.join(all_names(deployment))}")
            return 0
        case "run":
            return _run(given.scenarios, given.on or list(DEPLOYMENTS), given.seed)
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
            outcome.save()
            print(outcome.told(), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
