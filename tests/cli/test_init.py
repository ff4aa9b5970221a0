"""`ferryman init`: the first file of a newcomer."""

from pathlib import Path

from tests.cli.command import Cli


def test_an_application_that_can_be_imported(bare: Cli, folder: Path) -> None:
    out = bare("init").out
    assert "ferryman dev app:app" in out
    assert "{module}" not in (folder / "app.py").read_text()
    assert "count, divide, greet" in bare("enqueue", "x", "--app", "app:app", code=2).err


def test_another_name(bare: Cli, folder: Path) -> None:
    data = bare.json("init", "work.py")
    assert data["created"] == str(folder / "work.py")
    assert "ferryman dev work:app" in data["next"]


def test_nothing_is_overwritten(bare: Cli, folder: Path) -> None:
    (folder / "app.py").write_text("mine")
    assert "is there already" in bare("init", code=2).err
    assert (folder / "app.py").read_text() == "mine"


def test_a_place_that_is_not_there(bare: Cli) -> None:
    assert "cannot be written" in bare("init", "no/app.py", code=2).err


def test_a_name_that_cannot_be_imported(bare: Cli, folder: Path) -> None:
    assert "cannot be imported" in bare("init", "my-app.py", code=2).err
    assert "cannot be imported" in bare("init", "app", code=2).err
    assert list(folder.iterdir()) == []
