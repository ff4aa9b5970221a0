"""`ferryman jobs`."""

import json
from typing import Any

import pytest

from ferryman.domain.job import Progress
from ferryman.domain.outcomes import Failure
from ferryman.domain.states import JobState
from ferryman.stores.base import ProgressUpdate
from tests.cli.command import Cli
from tests.contract.world import World

BOTH = pytest.mark.parametrize("settings", ["sqlite", "valkey"], indirect=True)
ERROR = Failure(kind="ValueError", message="no total\x1b[2J", traceback="in read_receipt")

JOB_KEYS = {
    *("id", "task", "queue", "priority", "state", "reason", "detail", "args", "kwargs"),
    *("created_at", "due_at", "expires_at", "started_at", "finished_at", "token"),
    *("deliveries", "attempts", "kills", "worker", "unique", "user", "tags", "options"),
    *("cancel_requested", "progress", "result", "failure"),
}


def _ids(page: dict[str, Any]) -> list[str]:
    return [job["id"] for job in page["jobs"]]


@BOTH
async def test_list(cli: Cli, world: World) -> None:
    await world.bring(JobState.QUEUED, "a")
    await world.bring(JobState.FAILED, "b", task="other")
    page = cli.json("jobs", "list")
    assert set(_ids(page)) == {"a", "b"}
    assert set(page) == {"jobs", "cursor", "partial"}
    assert set(page["jobs"][0]) == JOB_KEYS
    assert _ids(cli.json("jobs", "list", "--state", "failed")) == ["b"]
    assert _ids(cli.json("jobs", "list", "--task", "other")) == ["b"]
    assert _ids(cli.json("jobs", "list", "--queue", "q-a")) == ["a"]
    assert _ids(cli.json("jobs", "list", "--since", "1h", "--user", "nobody")) == []
    assert _ids(cli.json("jobs", "list", "--until", "1h")) == []


async def test_list_for_people(cli: Cli, world: World) -> None:
    await world.bring(JobState.FAILED, "a", task="read_receipt")
    heads, row = cli("jobs", "list").out.splitlines()
    assert heads.split() == ["ID", "TASK", "QUEUE", "STATE", "AGE", "NOTE"]
    assert row.split()[:4] == ["a", "read_receipt", "q-a", "failed"]
    assert cli("jobs", "list", "--state", "running").out == "no jobs match\n"


async def test_pages(cli: Cli, world: World) -> None:
    await world.submit(*"abcde")
    seen: list[str] = []
    cursor: tuple[str, ...] = ()
    while True:
        page = cli.json("jobs", "list", "--queue", "default", "--limit", "2", *cursor)
        seen += _ids(page)
        if page["cursor"] is None:
            break
        cursor = ("--cursor", page["cursor"])
    assert sorted(seen) == list("abcde")
    assert "--cursor" in cli("jobs", "list", "--limit", "2").err


def test_a_cursor_of_nobody(cli: Cli) -> None:
    assert cli.json("jobs", "list", "--cursor", "!", code=2)["error"]["type"] == "ConfigError"


async def test_show(cli: Cli, world: World) -> None:
    delivery = await world.running("a", args=b'[[1],{"b":[2,null]}]', user="ada")
    await world.finish(delivery, JobState.FAILED, failure=ERROR, charge=1)
    data = cli.json("jobs", "show", "a")
    assert (data["args"], data["kwargs"]) == ([1], {"b": [2, None]})
    assert [event["target"] for event in data["events"]] == ["queued", "running", "failed"]
    assert data["failure"]["traceback"] == "in read_receipt"
    assert data["created_at"].endswith("Z")
    out = cli("jobs", "show", "a").out
    assert "(1, b=[2,null])" in out
    assert "in read_receipt" in out


async def test_what_others_wrote_cannot_command_the_terminal(cli: Cli, world: World) -> None:
    await world.finish(await world.running("a"), JobState.FAILED, failure=ERROR)
    screens = [
        cli.in_terminal("jobs", "show", "a"),
        cli.in_terminal("jobs", "list"),
        cli.in_terminal("jobs", "watch", "a", code=1),
    ]
    assert all("\\x1b[2J" in screen and "\x1b[2J" not in screen for screen in screens)


@pytest.mark.parametrize("command", ["show", "retry", "cancel", "discard", "wait", "watch"])
def test_no_such_job(cli: Cli, command: str) -> None:
    assert "no job 'nope'" in cli("jobs", command, "nope", code=2).err


@BOTH
async def test_retry(cli: Cli, world: World) -> None:
    await world.bring(JobState.FAILED, "a")
    await world.bring(JobState.CANCELLED, "b")
    data = cli.json("jobs", "retry", "a", "b")
    assert [job["state"] for job in data["jobs"]] == ["queued", "queued"]
    assert await world.states("a", "b") == ["queued", "queued"]


async def test_retry_with_other_arguments(cli: Cli, world: World) -> None:
    await world.bring(JobState.FAILED, "a")
    assert cli.json("jobs", "retry", "a", "--args", "[5]")["jobs"][0]["args"] == [5]


async def test_retry_refuses_edits_it_cannot_make(cli: Cli, world: World) -> None:
    await world.bring(JobState.FAILED, "a")
    assert "a single id" in cli("jobs", "retry", "a", "b", "--args", "[5]", code=2).err
    assert "none in it" in cli("jobs", "retry", "a", "--args", "[]", code=2).err
    assert await world.state("a") == "failed"


async def test_one_that_is_refused_stops_all(cli: Cli, world: World) -> None:
    await world.bring(JobState.FAILED, "a")
    await world.bring(JobState.QUEUED, "b")
    error = cli.json("jobs", "retry", "a", "b", code=1)["error"]
    assert error["type"] == "IllegalTransition"
    assert "none of the others was touched" in error["message"]
    cli("jobs", "retry", "a", "nope", code=2)
    cli("jobs", "cancel", "b", "a", code=1)
    cli("jobs", "discard", "a", "b", code=1)
    assert await world.states("a", "b") == ["failed", "queued"]


@BOTH
async def test_cancel(cli: Cli, world: World) -> None:
    await world.bring(JobState.QUEUED, "a")
    await world.bring(JobState.RUNNING, "b")
    first, second = cli.json("jobs", "cancel", "a", "b", "a")["jobs"]
    assert (first["state"], first["reason"]) == ("cancelled", "cancelled_by")
    assert first["detail"]
    assert (second["state"], second["cancel_requested"]) == ("running", True)


async def test_discard(cli: Cli, world: World) -> None:
    await world.bring(JobState.SUCCEEDED, "a")
    assert cli.json("jobs", "discard", "a") == {"discarded": ["a"]}
    assert await world.states("a") == [None]


async def test_wait_for_one_that_ended(cli: Cli, world: World) -> None:
    await world.finish(await world.running("a"), result=b'{"total":12.5}')
    assert cli("jobs", "wait", "a").out == '{"total":12.5}\n'
    assert cli.json("jobs", "wait", "a")["result"] == {"total": 12.5}
    await world.finish(await world.running("b"), JobState.FAILED, failure=ERROR)
    answer = cli("jobs", "wait", "b", code=1)
    assert answer.out == ""
    assert "ValueError: no total" in answer.err
    await world.bring(JobState.CANCELLED, "c")
    assert cli.json("jobs", "wait", "c", code=1)["state"] == "cancelled"


@BOTH
async def test_wait_no_longer_than(cli: Cli, world: World) -> None:
    await world.bring(JobState.QUEUED, "a")
    assert "is queued after 0.2 s" in cli("jobs", "wait", "a", "--timeout", "0.2", code=3).err
    error = cli.json("jobs", "wait", "a", "--timeout", "0", code=3)["error"]
    assert error["type"] == "WaitTimeout"


@BOTH
async def test_watch_a_job_to_its_end(cli: Cli, world: World) -> None:
    delivery = await world.running("a")
    with cli.running("jobs", "watch", "a", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["state"] == "running"
        update = ProgressUpdate(
            job_id="a", queue=delivery.queue, token=delivery.token, progress=Progress(3, 10, "x")
        )
        await world.store.progress([update])
        line = json.loads(process.stdout.readline())
        assert line["progress"] == {"current": 3, "total": 10, "message": "x"}
        await world.finish(delivery, result=b"1")
        out, err = process.communicate(timeout=30)
    assert (json.loads(out)["result"], err, process.returncode) == (1, "", 0)


async def test_watch_for_people(cli: Cli, world: World) -> None:
    await world.bring(JobState.FAILED, "a")
    assert "work failed" in cli("jobs", "watch", "a", code=1).out


async def test_watch_in_a_terminal(cli: Cli, world: World) -> None:
    delivery = await world.running("a")
    update = ProgressUpdate(
        job_id="a", queue=delivery.queue, token=delivery.token, progress=Progress(3, 10, "page 3")
    )
    await world.store.progress([update])
    await world.finish(delivery, result=b'"done"')
    screen = cli.in_terminal("jobs", "watch", "a")
    assert "page 3" in screen
    assert "30%" in screen
    assert '"done"' in screen
