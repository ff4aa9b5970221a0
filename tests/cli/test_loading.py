"""How a command finds the application that it was told of."""

from pathlib import Path

import pytest

from tests.cli.command import Cli

APP = """
from ferryman import Ferryman

app = Ferryman()

@app.task
def greet(name: str) -> str:
    return f"Hello, {name}!"
"""
CHECK = ("enqueue", "gret", "--app")
"""A command that loads the application, and says which tasks it has found, and no more."""
FOUND = "the registered ones are: greet; did you mean 'greet'?"


@pytest.mark.parametrize("path", ["app:app", "app", "app.py", "app.py:app", "./app.py"])
def test_the_ways_to_name_it(bare: Cli, folder: Path, path: str) -> None:
    (folder / "app.py").write_text(APP)
    assert FOUND in bare(*CHECK, path, code=2).err


@pytest.mark.parametrize("path", ["shop.jobs:app", "shop.jobs", "shop/jobs.py"])
def test_in_a_package(bare: Cli, folder: Path, path: str) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "names.py").write_text("NAME = 'greet'")
    (folder / "shop" / "jobs.py").write_text(APP + "\nfrom .names import NAME\n")
    assert FOUND in bare(*CHECK, path, code=2).err


def test_in_the_environment(bare: Cli, folder: Path) -> None:
    (folder / "app.py").write_text(APP)
    assert FOUND in bare("enqueue", "gret", code=2, env={"FERRYMAN_APP": "app:app"}).err


def test_before_the_command(bare: Cli, folder: Path) -> None:
    (folder / "app.py").write_text(APP)
    assert FOUND in bare("--app", "app:app", "enqueue", "gret", code=2).err


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("ap:app", "there is no module 'ap': looked for ap.py in {folder}; did you mean 'app'?"),
        ("shop.jobs:app", "there is no module 'shop': looked for shop.py in {folder}"),
        ("app.jobs:app", "there is no module 'app.jobs'"),
        ("jobs.py", "there is no file 'jobs.py' in {folder}"),
        ("app:application", "module 'app' has no 'application'; it has app:app"),
        ("app:greet", "module 'app' has a Task, not a Ferryman, as 'greet'; it has app:app"),
        (":app", "names no module"),
    ],
)
def test_what_was_looked_for(bare: Cli, folder: Path, path: str, told: str) -> None:
    (folder / "app.py").write_text(APP)
    assert told.format(folder=folder) in bare(*CHECK, path, code=2).err


def test_none_or_several_in_the_module(bare: Cli, folder: Path) -> None:
    (folder / "none.py").touch()
    (folder / "two.py").write_text(APP + "\nother = Ferryman()\nsame = app\n")
    assert "holds no application: write app = Ferryman()" in bare(*CHECK, "none", code=2).err
    assert "say two:app or two:other" in bare(*CHECK, "two", code=2).err


def test_a_file_whose_name_is_taken(bare: Cli, folder: Path) -> None:
    (folder / "io.py").write_text(APP)
    assert "its name is taken by" in bare(*CHECK, "io.py", code=2).err


def test_its_own_code_fails(bare: Cli, folder: Path) -> None:
    (folder / "app.py").write_text("import nowhere_to_be_found\n")
    answer = bare(*CHECK, "app:app", code=2)
    assert f'File "{folder / "app.py"}", line 1' in answer.err
    assert answer.err.splitlines()[-1].startswith("error: 'app' could not be imported: ModuleNot")
    error = bare(*CHECK, "app:app", "--json", code=2).data["error"]
    assert "nowhere_to_be_found" in error["traceback"]


def test_its_own_code_is_no_python(bare: Cli, folder: Path) -> None:
    (folder / "app.py").write_text("app = = 1\n")
    assert "SyntaxError: invalid syntax" in bare(*CHECK, "app", code=2).err


def test_a_store_that_the_code_names(bare: Cli, folder: Path) -> None:
    code = APP.replace("Ferryman()", "Ferryman('sqlite:///mine.db')")
    (folder / "app.py").write_text(code)
    answer = bare("jobs", "list", "--app", "app", "--database-url", "sqlite:///other.db", code=2)
    assert "--database-url cannot change that" in answer.err
