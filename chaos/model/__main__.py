"""`python -m chaos.model`: checks the model and every planted fault, and prints the figures.

The exit code is 1 where something does not come out as it should.
"""

import argparse
import sys
from collections.abc import Iterable

import msgspec

from chaos.model.plan import ALL, BORNE, FULL, PLANTED, QUICK, Case
from chaos.model.spin import ENDLESS, FAULTS, PROPERTIES, Bounds, Checked, Missing, check

ROW = "| {} | {} | {:,} | {} | {:.1f} |"
RULE = "|---|---|--:|--:|--:|"
NEVER = PROPERTIES | {ENDLESS: "it goes on for ever"}


def main() -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos.model", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small bounds only: some seconds")
    parser.add_argument("--show", metavar="FAULT", choices=FAULTS, help="how a fault does harm")
    given = parser.parse_args()
    try:
        return _show(given.show) if given.show else _check_all(quick=given.quick)
    except Missing as error:
        print(error, file=sys.stderr)
        return 2


def _show(fault: str) -> int:
    found = [case for case in PLANTED if case.planted == (fault,)]
    for case in found:
        checked = _checked(case, story=True)
        print(f"{FAULTS[fault]}:", *checked.story, sep="\n  ")
        print(f"{NEVER[checked.broken]}.")
    if not found:
        print(f"{FAULTS[fault]}: nothing is lost by it.")
    return 0


def _check_all(*, quick: bool) -> int:
    print(*(f"- `{name}`: {what}" for name, what in NEVER.items()), sep="\n", end="\n\n")
    good = _hold(QUICK if quick else FULL)
    good &= _break(PLANTED)
    good &= quick or _bear(BORNE)
    return 0 if good else 1


def _hold(cases: Iterable[Case]) -> bool:
    print(f"| the protocol, within | holds | states | depth | s |\n{RULE}")
    good = True
    for case in cases:
        checked = _checked(case)
        holds = "yes" if not checked.broken else f"**no: {checked.broken}**"
        what = ", and comes to rest" if case.watched == (ENDLESS,) else ""
        print(_row(f"{_within(case.bounds)}{what}", holds, checked))
        good &= not checked.broken
    return good


def _break(cases: Iterable[Case]) -> bool:
    print(f"\n| planted fault | brings about | states | depth | s |\n{RULE}")
    caught, planted = 0, 0
    for case in cases:
        checked = _checked(case)
        caught, planted = caught + (checked.broken in case.watched), planted + 1
        print(_row(_faults(case), checked.broken or "**not caught**", checked))
    print(f"\n{caught} of {planted} planted faults were caught.")
    return caught == planted


def _bear(cases: Iterable[Case]) -> bool:
    print(f"\n| planted fault | nothing is lost | states | depth | s |\n{RULE}")
    good = True
    for case in cases:
        checked = _checked(case)
        print(_row(_faults(case), checked.broken or "yes", checked))
        good &= not checked.broken
    return good


def _checked(case: Case, *, story: bool = False) -> Checked:
    watched = None if case.watched == ALL else case.watched
    return check(case.bounds, case.planted, watched, story=story)


def _row(what: str, outcome: str, checked: Checked) -> str:
    sys.stdout.flush()
    return ROW.format(what, outcome, checked.states, checked.depth, checked.seconds)


def _within(bounds: Bounds) -> str:
    """The bounds in words; what is as usual is not named, but for the first three."""
    usual = msgspec.structs.asdict(Bounds())
    given = msgspec.structs.asdict(bounds).items()
    named = {"jobs", "workers", "faults"} | {
        name for name, number in given if number != usual[name]
    }
    return ", ".join(_counted(number, name) for name, number in given if name in named)


def _counted(number: int, plural: str) -> str:
    noun = plural.removesuffix("s") if number == 1 and plural != "retries" else plural
    return f"{number or 'no'} {noun}"


def _faults(case: Case) -> str:
    return " and ".join(f"`{name}`: {FAULTS[name]}" for name in case.planted)


if __name__ == "__main__":
    sys.exit(main())
