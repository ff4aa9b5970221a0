"""`ferryman queues` and `ferryman workers`."""

import pytest

from ferryman.domain.states import JobState
from tests.cli.command import Cli
from tests.contract.world import World

BOTH = pytest.mark.parametrize("settings", ["sqlite", "valkey"], indirect=True)


@BOTH
async def test_figures(cli: Cli, world: World) -> None:
    assert cli.json("queues", "list") == {"queues": []}
    await world.submit("a", "b")
    await world.bring(JobState.FAILED, "c", queue="ocr")
    first, second = cli.json("queues", "list")["queues"]
    assert (first["name"], first["queued"], first["paused"]) == ("default", 2, False)
    assert (second["name"], second["failed"]) == ("ocr", 1)
    assert cli("queues", "list").out.splitlines()[1].split()[0] == "default"


async def test_pause_and_resume(cli: Cli, world: World) -> None:
    await world.submit("a")
    assert cli.json("queues", "pause", "default")["paused"] is True
    assert await world.claim() == []
    assert "paused" in cli("queues", "list").out
    assert cli.json("queues", "resume", "default")["paused"] is False
    assert await world.claimed_ids() == ["a"]


async def test_a_queue_that_is_perhaps_misspelt(cli: Cli, world: World) -> None:
    await world.submit("a")
    assert "has never held a job; those that have are: default" in cli("queues", "pause", "x").err


async def test_purge_asks_first(cli: Cli, world: World) -> None:
    await world.submit("a", "b")
    assert "add --yes" in cli("queues", "purge", "default", code=2).err
    assert cli.json("queues", "purge", "default", code=2)["error"]["type"] == "UsageError"
    assert await world.states("a", "b") == ["queued", "queued"]
    assert "Cancel 2 jobs" in cli.in_terminal("queues", "purge", "default", keys="n\n", code=1)
    assert await world.states("a", "b") == ["queued", "queued"]
    assert cli.json("queues", "purge", "default", "--yes") == {"purged": 2}
    assert await world.states("a", "b") == ["cancelled", "cancelled"]


async def test_purge_after_a_yes(cli: Cli, world: World) -> None:
    await world.submit("a")
    assert "cancelled 1 job of" in cli.in_terminal("queues", "purge", "default", keys="y\n")


def test_a_name_that_is_none(cli: Cli) -> None:
    for command in ("pause", "resume", "purge"):
        assert cli.json("queues", command, "a b", code=2)["error"]["type"] == "InvalidName"


@BOTH
async def test_workers(cli: Cli, world: World) -> None:
    assert cli.json("workers", "list") == {"workers": []}
    assert "ferryman worker" in cli("workers", "list").out
    await world.worker("here.1", lease=600)
    (worker,) = cli.json("workers", "list")["workers"]
    assert (worker["name"], worker["live"], worker["running"]) == ("here.1", True, 0)
    assert worker["queues"] == ["default"]
    assert "0 of 8" in cli("workers", "list").out
