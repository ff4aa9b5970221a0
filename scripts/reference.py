"""Write what the documentation says of the code from the code itself.

`python scripts/reference.py` writes the pages; a test compares them with what it would write.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
import msgspec
import typer

import ferryman
from ferryman.cli.main import root
from ferryman.client import collections
from ferryman.domain import errors, states
from ferryman.settings import PREFIX, Settings

DOCS = Path(__file__).parent.parent / "docs"
NOTE = "<!-- Written by scripts/reference.py: change the code, then `make docs`. -->\n"


def pages() -> dict[str, str]:
    """Every page that is written from the code, by its path below `docs`."""
    lifecycle = (DOCS / "explanation/lifecycle.md").read_text()
    return {
        "explanation/lifecycle.md": re.sub(
            r"```mermaid\n.*?```", f"```mermaid\n{states.diagram()}\n```", lifecycle, flags=re.S
        ),
        "reference/cli.md": _cli(),
        "reference/settings.md": _settings(),
        "reference/api.md": _api(),
        "reference/errors.md": _errors(),
        "reference/states.md": _states(),
    }


def _cli() -> str:
    os.environ |= {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    command = typer.main.get_command(root)
    parts = [f"# Command line\n\n{NOTE}"]
    for path, one in _commands("ferryman", command):
        context = click.Context(one, info_name=path)
        parts.append(f"## `{path}`\n\n```text\n{one.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from _commands(f"{path} {name}", one)


def _settings() -> str:
    told = dict(
        re.findall(r"^    (\w+): (.+?)(?=^    \w+: |\Z)", _attributes(Settings), re.S | re.M)
    )
    lines = [
        "# Settings\n",
        NOTE,
        "Each is an argument of `Ferryman(...)`, or an environment variable. An argument wins.\n",
        "| argument | variable | default | meaning |",
        "|---|---|---|---|",
    ]
    for field in msgspec.structs.fields(Settings):
        default = "–" if field.default is None else f"`{field.default}`"
        meaning = " ".join(told[field.name].split())
        lines.append(f"| `{field.name}` | `{PREFIX}{field.name.upper()}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _attributes(kind: type) -> str:
    _, _, text = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    return text


def _api() -> str:
    parts = [f"# Python API\n\n{NOTE}\nEverything is imported from `ferryman`.\n"]
    first = ["Ferryman", "Task", "JobHandle"]
    parts += [_class(name, getattr(ferryman, name)) for name in first]
    for name in ("Jobs", "Queues", "DeadLetters", "Workers"):
        parts.append(_class(name, getattr(collections, name)))
    for name in ferryman.__all__:
        one = None if name in first else getattr(ferryman, name)
        if inspect.isclass(one) and not issubclass(one, Exception | StrEnum):
            parts.append(_class(name, one))
        elif inspect.isfunction(one):
            parts.append(_function(f"{name}{inspect.signature(one)}", one, "##"))
    return "\n".join(parts)


def _class(name: str, kind: type) -> str:
    parts = [f"## {name}\n\n{_text(kind)}\n"]
    ours = [base for base in kind.__mro__ if base.__module__.startswith("ferryman.")]
    for member, value in (pair for base in ours for pair in vars(base).items()):
        if not member.startswith("_") and inspect.isfunction(value) and value.__doc__:
            parts.append(_function(f"{name}.{member}{_signature(value)}", value, "###"))
    return "\n".join(parts)


def _signature(function: Any) -> str:
    parameters = list(inspect.signature(function).parameters.values())
    names = [str(one.replace(annotation=one.empty)) for one in parameters if one.name != "self"]
    return f"({', '.join(names)})"


def _function(title: str, function: Any, level: str) -> str:
    return f"{level} `{title}`\n\n{_text(function)}\n"


def _text(one: Any) -> str:
    text = inspect.getdoc(one) or ""
    # Sections of a docstring as Markdown: a bold head, and its entries as a list.
    text = re.sub(r"^(Args|Attributes|Raises|Returns):$", r"**\1**\n", text, flags=re.M)
    return re.sub(r"^    (?=\S)", "- ", text, flags=re.M)


def _errors() -> str:
    return f"# Errors\n\n{NOTE}\n```text\n{inspect.getdoc(errors)}\n```\n"


def _states() -> str:
    lines = [f"# States and reasons\n\n{NOTE}\n## States\n"]
    for title, kind in (("", states.JobState), ("\n## Reasons\n", states.Reason)):
        lines += [title] if title else []
        lines += ["| name | meaning |", "|---|---|"]
        source = inspect.getsource(kind)
        for value, meaning in re.findall(r'= "(\w+)"\n    """(.+?)"""', source, re.S):
            lines.append(f"| `{value}` | {' '.join(meaning.split())} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the pages; with `--check` only say which differ."""
    stale = [path for path, text in pages().items() if not _is(DOCS / path, text)]
    if "--check" in sys.argv:
        for path in stale:
            print(f"docs/{path} is not what the code says: run `make docs`")
        return int(bool(stale))
    for path in stale:
        (DOCS / path).write_text(pages()[path])
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
