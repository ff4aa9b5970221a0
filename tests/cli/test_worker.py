"""`ferryman worker` and `ferryman dev`: from an empty folder to a finished job."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import Cli

BOTH = pytest.mark.parametrize("settings", ["sqlite", "valkey"], indirect=True)


@BOTH
def test_a_burst_runs_what_is_there(cli: Cli) -> None:
    cli.alone("init")
    first = cli.alone("enqueue", "greet", "--args", '["Ada"]').out.strip()
    second = cli("enqueue", "count", "--args", '["x"]').out.strip()
    answer = cli.alone("worker", "app:app", "--burst", "--name", "here")
    assert answer.out == ""
    assert first in answer.err
    assert cli.alone("jobs", "wait", first).out == '"Hello, Ada!"\n'
    assert cli.json("jobs", "wait", second, code=1)["reason"] == "invalid_arguments"


def test_only_the_queues_that_are_named(cli: Cli) -> None:
    cli("init")
    cli("enqueue", "greet", "--app", "app:app", "--args", '["Ada"]', "--id", "a")
    cli.alone("worker", "app:app", "--burst", "--queues", "sums,other")
    assert cli.json("jobs", "show", "a")["state"] == "queued"


def test_log_lines_in_json(cli: Cli) -> None:
    cli("init")
    cli("enqueue", "greet", "--args", '["Ada"]', "--id", "a")
    answer = cli.alone("worker", "app:app", "--burst", "--json")
    lines = [json.loads(line) for line in answer.err.splitlines()]
    assert {"a"} == {line["job_id"] for line in lines if "job_id" in line}


def test_an_application_that_cannot_be_imported(cli: Cli, folder: Path) -> None:
    (folder / "app.py").write_text("import nowhere_to_be_found\n")
    answer = cli.alone("worker", "app:app", code=1)
    assert "could not be imported: ModuleNotFoundError" in answer.err
    assert f'File "{folder / "app.py"}", line 1' in answer.err


def test_an_application_that_names_another_store_in_its_code(cli: Cli, folder: Path) -> None:
    (folder / "app.py").write_text("import ferryman\napp = ferryman.Ferryman('sqlite:///a.db')\n")
    error = cli("worker", "app:app", "--database-url", "sqlite:///b.db", code=1).err
    assert "app:app names its store in code (database_url=sqlite:///a.db)" in error


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_stop(cli: Cli, sign: signal.Signals) -> None:
    cli("init")
    with cli.running("worker", "app:app") as worker:
        assert cli("enqueue", "greet", "--args", '["Ada"]', "--wait").out == '"Hello, Ada!"\n'
        worker.send_signal(sign)
        assert worker.wait(30) == 0
    assert cli.json("workers", "list") == {"workers": []}


def _first_line(process: "subprocess.Popen[str]") -> dict[str, object]:
    assert process.stdout is not None
    line: dict[str, object] = json.loads(process.stdout.readline())
    return line


def _wait_until_it_serves(process: "subprocess.Popen[str]") -> None:
    assert process.stderr is not None
    assert any("serves default" in line for line in process.stderr)


def test_dev_on_nothing(bare: Cli, folder: Path) -> None:
    bare("init")
    with bare.running("dev", "app:app", "--json") as dev:
        facts = _first_line(dev)
        assert facts["store"] == "hybrid"
        assert str(folder / ".ferryman") in str(facts["url"])
        assert facts["reload"] is True
        greeted = bare("enqueue", "greet", "--args", '["Ada"]', "--wait")
        assert greeted.out == '"Hello, Ada!"\n'
        bare("enqueue", "divide", "--app", "app", "--args", "[1, 0]", "--id", "d")
        dev.send_signal(signal.SIGINT)
        assert dev.wait(30) == 0


def test_dev_on_a_valkey_of_its_own(bare: Cli) -> None:
    bare("init")
    with bare.running("dev", "app:app", "--valkey", "--json") as dev:
        facts = _first_line(dev)
        assert facts["store"] == "valkey"
        url = ("--valkey-url", str(facts["url"]))
        assert (
            bare("enqueue", "greet", "--args", '["Ada"]', "--wait", *url).out == '"Hello, Ada!"\n'
        )
        dev.send_signal(signal.SIGTERM)
        assert dev.wait(30) == 0
    assert bare.json("jobs", "list", *url, code=1)["error"]["type"] == "StoreUnavailable"


def test_dev_says_what_is_used(bare: Cli, folder: Path) -> None:
    bare("init")
    with bare.running("dev", "app:app", "--no-reload") as dev:
        assert dev.stdout is not None
        told = "".join(dev.stdout.readline() for _ in range(4))
        _wait_until_it_serves(dev)
        dev.send_signal(signal.SIGINT)
        assert dev.wait(30) == 0
    assert "app:app" in told
    assert f"hybrid at sqlite:///{folder}/.ferryman/ferryman.db" in told


@pytest.mark.parametrize(
    ("code", "told"),
    [("import nowhere_to_be_found", "could not be imported"), ("", "holds no application")],
)
def test_dev_with_an_application_that_is_none(
    bare: Cli, folder: Path, code: str, told: str
) -> None:
    (folder / "app.py").write_text(code)
    assert told in bare("dev", "app", code=2).err
    assert told in bare.json("dev", "app", code=2)["error"]["message"]


def test_dev_where_a_store_is_not_there(bare: Cli) -> None:
    bare("init")
    answer = bare.alone("dev", "app", "--valkey-url", "redis://127.0.0.1:1/0", code=1)
    assert "127.0.0.1:1" in answer.err


def test_dev_with_two_stores(bare: Cli) -> None:
    answer = bare("dev", "app", "--valkey", "--database-url", "sqlite:///a.db", code=2)
    assert "a store is configured already" in answer.err
