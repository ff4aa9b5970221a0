"""The model of the hybrid store's protocol holds, and notices every fault that is planted in it.

In small bounds; `make model` takes larger ones.
"""

import os
import re
from pathlib import Path

import pytest
from chaos.model.plan import ALL, BORNE, PLANTED, QUICK, Case
from chaos.model.spin import FAULTS, MODEL, Checked, Missing, check

import ferryman

SOURCE = Path(ferryman.__file__).parent


def checked(case: Case, *, story: bool = False) -> Checked:
    """What comes of a case; where spin is missing, skip, or fail in CI."""
    watched = None if case.watched == ALL else case.watched
    try:
        return check(case.bounds, case.planted, watched, story=story)
    except Missing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def named(case: Case) -> str:
    return "-".join((*case.planted, *(() if case.watched == ALL else case.watched))) or "all"


@pytest.mark.parametrize("case", QUICK, ids=named)
def test_the_protocol_holds(case: Case) -> None:
    assert checked(case).broken == ""


@pytest.mark.parametrize("case", PLANTED, ids=named)
def test_a_planted_fault_is_caught(case: Case) -> None:
    assert checked(case).broken in case.watched


def test_every_fault_is_planted() -> None:
    planted = {name for case in (*PLANTED, *BORNE) for name in case.planted}
    assert planted == set(FAULTS)


def test_what_is_found_is_told_as_a_story() -> None:
    (case,) = (case for case in PLANTED if case.planted == ("NO_TOKEN",))
    story = checked(case, story=True).story
    assert story[0].split() == ["Client", "submit"]
    assert any(step.split()[-1] in ("finish", "die_finishing") for step in story)


def test_the_model_names_code_that_is_there() -> None:
    rows = re.findall(r"^   \S.*?  +([a-z/]+\.py)  +([\w., ]+)", MODEL.read_text(), re.MULTILINE)
    assert len(rows) >= 12
    for module, names in rows:
        code = (SOURCE / module).read_text()
        for name in re.findall(r"\w+", names):
            assert re.search(rf"\b(class|def) {name}\b", code), f"{module} has no {name}"
