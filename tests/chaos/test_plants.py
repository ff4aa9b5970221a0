"""The harness catches the faults that are planted in the product; here a few of them, briefly."""

import os
from pathlib import Path

import pytest
from chaos.checker import KINDS
from chaos.plants import catalogue, edits, scripts
from chaos.plants.catalogue import PLANTS
from chaos.plants.checks import ALL as CHECKS
from chaos.plants.edits import Edit, Misplaced
from chaos.plants.plant import Plant
from chaos.plants.runner import Trial, run
from chaos.stage import DEPLOYMENTS

from tests import servers

FAST = [plant for plant in PLANTS if plant.fast]


def test_there_are_as_many_as_promised() -> None:
    assert len(PLANTS) >= 24
    assert len(catalogue.ALL) == len(PLANTS), "two have one name"


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_each_still_finds_what_it_changes(plant: Plant) -> None:
    edits.try_out(plant.edits)
    assert plant.script in scripts.ALL
    assert set(plant.on) <= set(DEPLOYMENTS)
    assert set(plant.expects) <= set(KINDS) | set(CHECKS)


@pytest.mark.parametrize("where", ["lua/queue/claim", "chaos.points:_verb"])
def test_an_edit_of_what_is_not_there_is_refused(where: str) -> None:
    with pytest.raises(Misplaced, match="0 times"):
        edits.try_out([Edit(where, "nothing of the kind", "")])


def test_an_edit_that_names_what_the_module_has_not_is_refused() -> None:
    with pytest.raises(Misplaced, match="nothing called unheard_of"):
        edits.try_out([Edit(f"{__name__}:untouched", "return 1", "return unheard_of")])


def untouched() -> int:
    return 1


def test_who_has_the_function_already_runs_the_new_code() -> None:
    kept = sample
    edits.make([Edit(f"{__name__}:sample", "return 1", "return 2")])
    assert kept() == 2


def sample() -> int:
    return 1


@pytest.mark.parametrize("plant", FAST, ids=lambda plant: plant.name)
def test_a_few_are_caught(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what it leaves behind is of no use to anybody
    try:
        verdict = run(Trial(script=plant.script, deployment=plant.on[0], plant=plant.name))
    except servers.Missing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    assert verdict.right, verdict
