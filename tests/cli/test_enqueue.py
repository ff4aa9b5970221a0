"""`ferryman enqueue`."""

from pathlib import Path

import pytest

from ferryman import codec
from ferryman.stores.base import JobFilter
from tests.cli.command import Cli
from tests.contract.world import World

APP = """
from ferryman import Ferryman

app = Ferryman()

@app.task(queue="ocr", priority="high")
def read(receipt_id: int, path: str = "") -> str:
    return path
"""

BOTH = pytest.mark.parametrize("settings", ["sqlite", "valkey"], indirect=True)


async def test_by_name_alone(cli: Cli, world: World) -> None:
    job_id = cli("enqueue", "read", "--args", '{"receipt_id": 17}').out.strip()
    job = await world.job(job_id)
    assert (job.task, job.queue, job.priority) == ("read", "default", 0)
    assert codec.decode_args(job.args) == ([], {"receipt_id": 17})


async def test_checked_against_the_code(cli: Cli, folder: Path, world: World) -> None:
    (folder / "app.py").write_text(APP)
    data = cli.json("enqueue", "read", "--app", "app:app", "--args", '[17, "a.jpg"]')
    assert (data["queue"], data["priority"]) == ("ocr", 10)
    assert (data["args"], data["kwargs"], data["created"]) == ([17, "a.jpg"], {}, True)
    error = cli.json(
        "enqueue", "read", "--app", "app:app", "--args", '{"receipt_id": "x"}', code=2
    )["error"]
    assert error["type"] == "InvalidArguments"
    assert "receipt_id" in error["message"]
    assert len((await world.store.page(JobFilter())).jobs) == 1


async def test_every_option(cli: Cli, world: World) -> None:
    cli(
        *("enqueue", "read", "--id", "ocr-17", "--queue", "slow", "--priority", "urgent"),
        *("--delay", "60", "--expires-in", "600", "--unique", "receipt:17", "--user", "ada"),
        *("--tag", "a", "--tag", "b", "--timeout", "5"),
    )
    job = await world.job("ocr-17")
    assert (job.queue, job.priority, job.state) == ("slow", 20, "scheduled")
    assert (job.unique, job.user, set(job.tags)) == ("receipt:17", "ada", {"a", "b"})
    assert job.options.timeout == 5
    assert job.expires_at is not None
    assert (job.expires_at - job.created_at).total_seconds() == 600
    assert (job.due_at - job.created_at).total_seconds() == 60


async def test_at_a_moment(cli: Cli, world: World) -> None:
    cli("enqueue", "read", "--id", "a", "--at", "2999-01-31T14:30+00:00")
    assert (await world.job("a")).due_at.isoformat() == "2999-01-31T14:30:00+00:00"
    assert "is not a moment" in cli("enqueue", "read", "--at", "soon", code=2).err


async def test_arguments_from_standard_input(cli: Cli, world: World) -> None:
    cli("enqueue", "read", "--id", "a", "--args", "-", stdin="[1, 2]")
    assert codec.decode_args((await world.job("a")).args) == ([1, 2], {})


def test_an_id_that_is_there(cli: Cli) -> None:
    assert cli.json("enqueue", "read", "--id", "a")["created"] is True
    assert cli.json("enqueue", "read", "--id", "a")["created"] is False
    assert "there already" in cli("enqueue", "read", "--id", "a").err


@BOTH
def test_a_unique_key_that_is_held(cli: Cli) -> None:
    held = cli.json("enqueue", "read", "--unique", "k")["id"]
    error = cli.json("enqueue", "read", "--unique", "k", code=1)["error"]
    assert error["type"] == "JobExists"
    again = cli.json("enqueue", "read", "--unique", "k", "--on-conflict", "return")
    assert (again["id"], again["created"]) == (held, False)


@pytest.mark.parametrize(
    "options",
    [
        ("--id", "a b"),
        ("--queue", "a b"),
        ("--priority", "extreme"),
        ("--delay", "-1"),
        ("--delay", "1", "--at", "2999-01-01"),
        ("--unique", "\n"),
    ],
    ids=" ".join,
)
def test_bad_values_enqueue_nothing(bare: Cli, options: tuple[str, ...]) -> None:
    assert bare.json("enqueue", "read", *options, code=2)["error"]["message"]
    assert list(bare.folder.iterdir()) == [], "no store was even opened"


async def test_nobody_reads_its_queue(cli: Cli, world: World) -> None:
    assert "no worker reads queue 'default'" in cli("enqueue", "read").err
    await world.worker(lease=600)
    assert cli("enqueue", "read").err == ""
