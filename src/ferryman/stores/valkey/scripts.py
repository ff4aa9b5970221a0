"""The Lua scripts as the server gets them: includes put in, key names and numbers filled in.

A script is called by the hash of its text, so releases that differ run side by side on one server.
"""

import functools
import hashlib
import re
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ferryman.stores.valkey import keys
from ferryman.stores.valkey.codes import LUA_CONSTANTS

FOLDER: Final = Path(__file__).parent / "lua"

_INCLUDE: Final = re.compile(r"^-- include: (\w+)\n", re.MULTILINE)
_CONSTANT: Final = re.compile(r"\b(?:STATE|REASON|CODE)\.\w+")
_COMMENT: Final = re.compile(r"^\s*--[^\n]*\n", re.MULTILINE)
_LOCAL: Final = re.compile(
    r"^local (?:function (\w+)\(.*?^end|(\w+) = [^\n(]*)\n", re.MULTILINE | re.DOTALL
)
"""A function, or a name with a value of one line, outside of any block."""

Place = Literal["queue", "shared"]


class Script(NamedTuple):
    """A script's text and the hash by which the server knows it."""

    name: str
    text: str
    sha: str


@functools.cache
def load(place: Place, name: str) -> Script:
    """The script `lua/<place>/<name>.lua`; its place says which key names it gets.

    Raises:
        ValueError: a constant in it has no number.
    """
    text = _with_includes((FOLDER / place / f"{name}.lua").read_text("utf-8"), set())
    text = _CONSTANT.sub(_number, _COMMENT.sub("", text))
    flags, _, body = _needed(text).partition("\n")
    text = f"{flags}\n{_declarations(place, body)}\n{body}"
    # The server's name for a script, not a safeguard.
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def all_scripts() -> list[Script]:
    """Every script, for checks."""
    found = sorted(FOLDER.glob("queue/*.lua")) + sorted(FOLDER.glob("shared/*.lua"))
    places: dict[str, Place] = {"queue": "queue", "shared": "shared"}
    return [load(places[path.parent.name], path.stem) for path in found]


def _with_includes(text: str, seen: set[str]) -> str:
    def included(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return ""
        seen.add(name)
        return _with_includes((FOLDER / "include" / f"{name}.lua").read_text("utf-8"), seen)

    return _INCLUDE.sub(included, text)


def _needed(text: str) -> str:
    """Without what an include defines and this script never names: each call would pay for it."""
    for match in reversed(list(_LOCAL.finditer(text))):
        name = match[1] or match[2]
        if len(re.findall(rf"\b{name}\b", text)) == 1:
            text = text[: match.start()] + text[match.end() :]
    return text


def _number(match: re.Match[str]) -> str:
    if match[0] not in LUA_CONSTANTS:
        raise ValueError(f"{match[0]} has no number in codes.py")
    return str(LUA_CONSTANTS[match[0]])


def _declarations(place: Place, body: str) -> str:
    """The names of the keys that a script uses; the others would cost it time at each call."""
    names = keys.lua_names(place)
    used = set(re.findall(r"\b[A-Z]+_?\b", body))
    return "\n".join(
        ["local PREFIX = KEYS[1]"]
        + [f"local {name} = PREFIX .. '{key}'" for name, key in names.items() if name in used]
    )
