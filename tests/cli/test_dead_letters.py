"""`ferryman dead-letters`."""

import pytest

from ferryman.domain.states import JobState
from tests.cli.command import Cli
from tests.contract.world import World

BOTH = pytest.mark.parametrize("settings", ["sqlite", "valkey"], indirect=True)


async def _three(world: World) -> None:
    await world.bring(JobState.FAILED, "a", task="read", queue="ocr")
    await world.bring(JobState.FAILED, "b", task="send", queue="mail")
    await world.bring(JobState.CANCELLED, "c", task="read", queue="ocr")


async def test_list(cli: Cli, world: World) -> None:
    assert cli("dead-letters", "list").out == "no dead letters match\n"
    await _three(world)
    assert {job["id"] for job in cli.json("dead-letters", "list")["jobs"]} == {"a", "b"}
    (only,) = cli.json("dead-letters", "list", "--task", "read")["jobs"]
    assert only["id"] == "a"
    assert "permanent" in cli("dead-letters", "list", "--queue", "mail").out


@BOTH
@pytest.mark.parametrize(
    ("choice", "states"),
    [
        (("a",), ("queued", "failed")),
        (("--task", "read", "--yes"), ("queued", "failed")),
        (("--queue", "mail", "--yes"), ("failed", "queued")),
        (("--all", "--yes"), ("queued", "queued")),
    ],
    ids=str,
)
async def test_retry(
    cli: Cli, world: World, choice: tuple[str, ...], states: tuple[str, ...]
) -> None:
    await _three(world)
    assert cli.json("dead-letters", "retry", *choice) == {"retried": states.count("queued")}
    assert await world.states("a", "b", "c") == [*states, "cancelled"]


async def test_discard(cli: Cli, world: World) -> None:
    await _three(world)
    assert cli.json("dead-letters", "discard", "a") == {"discarded": 1}
    assert cli.json("dead-letters", "discard", "--all", "--yes") == {"discarded": 1}
    assert await world.states("a", "b", "c") == [None, None, "cancelled"]


@pytest.mark.parametrize("command", ["retry", "discard"])
@pytest.mark.parametrize(
    "choice", [(), ("a", "--all"), ("--all", "--task", "read"), ("a", "--queue", "ocr")], ids=str
)
def test_which_ones_must_be_clear(bare: Cli, command: str, choice: tuple[str, ...]) -> None:
    assert "say which" in bare("dead-letters", command, *choice, "--yes", code=2).err
    assert list(bare.folder.iterdir()) == [], "no store was even opened"


async def test_many_are_asked_about(cli: Cli, world: World) -> None:
    await _three(world)
    assert "add --yes" in cli("dead-letters", "discard", "--all", code=2).err
    asked = cli.in_terminal("dead-letters", "discard", "--task", "read", keys="n\n", code=1)
    assert "Delete 1 dead letter of task 'read'?" in asked
    assert await world.states("a", "b") == ["failed", "failed"]


async def test_one_that_is_no_dead_letter_stops_all(cli: Cli, world: World) -> None:
    await _three(world)
    assert "no dead letter" in cli("dead-letters", "retry", "a", "c", code=1).err
    assert await world.states("a", "c") == ["failed", "cancelled"]


async def test_a_unique_key_that_is_held_meanwhile(cli: Cli, world: World) -> None:
    await world.bring(JobState.FAILED, "a", queue="ocr", unique="k")
    await world.bring(JobState.QUEUED, "b", queue="ocr", unique="k")
    answer = cli("dead-letters", "retry", "--all", "--yes")
    assert answer.out == "retried 0 dead letters\n"
    assert "1 stayed" in answer.err
