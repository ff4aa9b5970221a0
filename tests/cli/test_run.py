"""`ferryman run`: a job without a store."""

from pathlib import Path

import pytest

from tests.cli.command import Cli

APP = """
import asyncio
import os
import threading
from typing import Annotated

from ferryman import Cancel, Ferryman, JobContext, Permanent, Retry, Snooze, current_job

app = Ferryman()

@app.resource
def engine():
    print("set up")
    yield "engine"
    print("torn down")

@app.task
def add(a: int, b: int = 1) -> int:
    print("in the job")
    return a + b

@app.task
async def slowly(job: JobContext) -> dict[str, str]:
    await asyncio.sleep(0)
    job.progress(3, 10, "page 3")
    return {"id": job.id}

@app.task(isolation="process", memory_limit="1 GiB")
def isolated(*, it: Annotated[str, engine]) -> list:
    return [it, os.getpid() > 0, threading.current_thread() is threading.main_thread()]

@app.task
def loop_of_its_own() -> int:
    async def one() -> int:
        return 1
    return asyncio.run(one())

@app.task(retry=Retry(max_attempts=3, base=7, cap=60))
def flaky() -> None:
    secret = "not shown"
    raise OSError("no provider")

@app.task
def never() -> None:
    raise Permanent("no such receipt")

@app.task
def later() -> Snooze:
    return Snooze(30)

@app.task
def needless() -> Cancel:
    return Cancel("nobody waits")

@app.task
def leave() -> None:
    raise SystemExit(0)

@app.task
def unprintable() -> object:
    return object()
"""


@pytest.fixture
def app(bare: Cli, folder: Path) -> Cli:
    """The command line beside an application of many tasks."""
    (folder / "app.py").write_text(APP)
    bare.environment["FERRYMAN_APP"] = "app:app"
    return bare


def test_its_result(app: Cli, folder: Path) -> None:
    answer = app("run", "add", "--args", "[1, 2]")
    assert answer.out.startswith("in the job\nsucceeded after ")
    assert answer.out.endswith(" s: 3\n")
    assert not (folder / ".ferryman").exists()


def test_in_json_only_the_document_is_on_standard_output(app: Cli) -> None:
    answer = app("run", "add", "--args", '{"a": 1}', "--json")
    assert (answer.data["outcome"], answer.data["result"]) == ("succeeded", 2)
    assert answer.err == "in the job\n"


def test_a_coroutine_with_progress(app: Cli) -> None:
    answer = app("run", "slowly")
    assert "succeeded" in answer.out
    assert "3 of 10 (30%) page 3" in answer.err


def test_an_isolated_task_runs_here_with_its_resources(app: Cli) -> None:
    out = app("run", "isolated").out
    assert out.startswith("set up\ntorn down\n")
    assert '["engine",true,true]' in out


def test_a_plain_function_may_run_a_loop(app: Cli) -> None:
    assert app.json("run", "loop_of_its_own")["result"] == 1


def test_a_failure_shows_the_users_frames(app: Cli, folder: Path) -> None:
    answer = app("run", "flaky", code=1)
    assert answer.out == "failed: attempt 2 of 3 would follow, within 7 s\n"
    assert f'File "{folder / "app.py"}"' in answer.err
    assert "OSError: no provider" in answer.err
    assert "not shown" not in answer.err
    data = app.json("run", "flaky", code=1)
    assert (data["outcome"], data["state"], data["delay"]) == ("failed", "scheduled", 7)
    assert data["failure"]["kind"] == "OSError"


@pytest.mark.parametrize(
    ("task", "told", "code"),
    [
        ("never", "failed (permanent): it would be a dead letter", 1),
        ("later", "snoozed for 30 s", 0),
        ("needless", "cancelled itself (nobody waits)", 1),
        ("leave", "failed (exhausted): it would be a dead letter", 1),
        ("unprintable", "failed (unknown_result): it would be a dead letter", 1),
    ],
)
def test_other_endings(app: Cli, task: str, told: str, code: int) -> None:
    assert app("run", task, code=code).out == f"{told}\n"


def test_mistakes(app: Cli) -> None:
    assert "did you mean 'flaky'?" in app("run", "flakey", code=2).err
    assert "add(a: int, b: int = 1)" in app("run", "add", code=2).err
    error = app.json("run", "add", "--args", '["x"]', code=2)["error"]
    assert error["type"] == "InvalidArguments"
    assert "name the application" in app("run", "add", env={"FERRYMAN_APP": ""}, code=2).err
