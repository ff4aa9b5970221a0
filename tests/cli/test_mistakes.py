"""A user's mistake is told in a line that helps, with an exit code, and never by a traceback."""

from pathlib import Path

import pytest

from tests.cli.command import Cli


def test_an_unknown_command_is_guessed(bare: Cli) -> None:
    assert "Did you mean 'enqueue'" in bare("enqeue", code=2).err


def test_an_unknown_option_in_json(bare: Cli) -> None:
    error = bare("jobs", "list", "--taks", "x", "--json", code=2).data["error"]
    assert error["type"] == "UsageError"
    assert "--task" in error["message"]


def test_json_leaves_nothing_on_standard_error(bare: Cli) -> None:
    answer = bare("--json", "jobs", "list", "--state", "lost", code=2)
    assert answer.err == ""
    assert "'succeeded'" in answer.data["error"]["message"]


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ("{name: Ada}", "this is not JSON"),
        ('"Ada"', "neither an object nor an array"),
        ("", "this is not JSON"),
    ],
)
def test_arguments_that_are_none(bare: Cli, folder: Path, args: str, problem: str) -> None:
    assert problem in bare("enqueue", "greet", "--args", args, code=2).err
    assert list(folder.iterdir()) == []


def test_a_setting_that_cannot_be_used_is_named(bare: Cli) -> None:
    error = bare("jobs", "list", code=2, env={"FERRYMAN_LEASE": "soon"}).err
    assert "FERRYMAN_LEASE='soon'" in error


@pytest.mark.parametrize("option", ["--database-url", "--valkey-url"])
def test_a_server_that_is_not_there(bare: Cli, option: str) -> None:
    scheme = "postgresql" if option == "--database-url" else "redis"
    url = f"{scheme}://ada:secret@127.0.0.1:1/0"
    answer = bare("jobs", "list", option, url, code=1)
    assert "127.0.0.1:1" in answer.err
    assert "ferryman doctor" in answer.err
    assert "secret" not in answer.err
    error = bare("--json", "jobs", "list", option, url, code=1).data["error"]
    assert error["type"] == "StoreUnavailable"
    assert "secret" not in str(error)


@pytest.mark.parametrize("command", ["worker", "dev"])
def test_a_worker_needs_an_application(bare: Cli, command: str) -> None:
    assert "name the application" in bare(command, code=2).err


def test_a_worker_option_out_of_range(bare: Cli) -> None:
    assert "--processes" in bare("worker", "app:app", "--processes", "0", code=2).err
    assert "worker name" in bare("worker", "app:app", "--name", "a b", code=2).err
    assert "queue" in bare("worker", "app:app", "--queues", "a,b c", code=2).err
