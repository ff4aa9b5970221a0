"""What every command shares: help that fits a screen, JSON, completion."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ferryman.cli.main import root
from tests.cli.command import Cli


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


GROUPS = {(), ("jobs",), ("queues",), ("dead-letters",), ("workers",), ("keys",)}
COMMANDS = sorted(_commands(typer.main.get_command(root)))


def test_the_commands_are_these() -> None:
    assert {path[0] for path in COMMANDS if path} == {
        *("init", "dev", "worker", "enqueue", "run", "jobs", "queues", "dead-letters"),
        *("workers", "keys", "serve", "migrate", "doctor", "version"),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_a_screen(bare: Cli, path: tuple[str, ...]) -> None:
    lines = bare(*path, "--help").out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert "--json" in "".join(lines) or path in GROUPS


@pytest.mark.parametrize("path", sorted(GROUPS), ids=" ".join)
def test_no_summary_of_a_command_is_cut(bare: Cli, path: tuple[str, ...]) -> None:
    summaries = bare(*path, "--help").out.partition("Commands:")[2]
    assert summaries
    assert "..." not in summaries


@pytest.mark.parametrize("path", sorted(GROUPS - {()}), ids=" ".join)
def test_a_group_alone_shows_what_it_has(bare: Cli, path: tuple[str, ...]) -> None:
    assert "Commands:" in bare(*path, code=2).err


def test_a_shell_can_complete(bare: Cli) -> None:
    answer = bare(
        env={"_FERRYMAN_COMPLETE": "complete_bash", "COMP_WORDS": "ferryman dea", "COMP_CWORD": "1"}
    )
    assert answer.out.split() == ["dead-letters"]


def test_help_is_quick_to_load(bare: Cli, folder: Path) -> None:
    """What takes long to import is left to the commands that need it."""
    (folder / "look.py").write_text(
        "import sys\n"
        "from ferryman.cli.main import execute\n"
        "code = execute(['--help'])\n"
        "heavy = {'rich', 'sqlalchemy', 'redis', 'alembic', 'uvloop'} & sys.modules.keys()\n"
        "sys.exit(str(heavy) if heavy else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "look.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
