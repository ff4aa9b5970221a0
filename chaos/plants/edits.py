"""Edits: small changes of the product's text, made in a process that is part of a run.

The product knows nothing of them. What is changed is the text of a Lua script as it is loaded, or
the source of one function, which is compiled anew. An edit whose old text is not there exactly
once can no longer be made: whoever changed the product has to change the plant.
"""

import builtins
import dis
import functools
import importlib
import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

from ferryman.stores.valkey import scripts

LUA: Final = "lua/"


class Misplaced(Exception):
    """The text that an edit is to change is not there, or more than once."""


class Edit(NamedTuple):
    """A change of text.

    Attributes:
        where: a script (`lua/include/finish`), or a function (`ferryman.worker.loop:Worker.run`).
        old: what must be there exactly once.
        new: what takes its place.
    """

    where: str
    old: str
    new: str


def make(edits: Sequence[Edit]) -> None:
    """Make the edits in this process.

    Raises:
        Misplaced: one of them cannot be made.
    """
    for where in dict.fromkeys(edit.where for edit in edits):
        mine = [edit for edit in edits if edit.where == where]
        if where.startswith(LUA):
            _script(mine)
        else:
            function = _function(where)
            function.__code__ = changed(mine)


def try_out(edits: Sequence[Edit]) -> None:
    """See whether the edits could be made, and make none.

    Raises:
        Misplaced: one of them could not.
    """
    for where in dict.fromkeys(edit.where for edit in edits):
        mine = [edit for edit in edits if edit.where == where]
        if where.startswith(LUA):
            _edited(_path(where).read_text("utf-8"), mine)
        else:
            changed(mine)


def _edited(text: str, edits: Sequence[Edit]) -> str:
    for edit in edits:
        if text.count(edit.old) != 1:
            found = text.count(edit.old)
            raise Misplaced(f"{edit.where}: found {found} times, and not once: {edit.old!r}")
        text = text.replace(edit.old, edit.new)
    return text


# -- scripts -------------------------------------------------------------------------------------


def _path(where: str) -> Path:
    return scripts.FOLDER / f"{where.removeprefix(LUA)}.lua"


def _script(edits: Sequence[Edit]) -> None:
    whole = _path(edits[0].where).read_text("utf-8")
    planted, load = _edited(whole, edits), getattr(scripts, "_with_includes")  # noqa: B009

    @functools.wraps(load)
    def loads(text: str, seen: set[str]) -> str:
        result: str = load(planted if text == whole else text, seen)
        return result

    setattr(scripts, "_with_includes", loads)  # noqa: B010 - not for type checkers


# -- functions -----------------------------------------------------------------------------------


def _owner(where: str) -> tuple[Any, str]:
    module, _, path = where.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    return owner, name


def _function(where: str) -> FunctionType:
    """The function itself, whatever is wrapped round it."""
    owner, name = _owner(where)
    found = vars(owner).get(name)
    for inner in ("func", "fget", "__func__"):
        found = getattr(found, inner, found)
    if not isinstance(found, FunctionType):
        raise Misplaced(f"{where}: there is no such function")
    return found


def changed(edits: Sequence[Edit]) -> CodeType:
    """The code of a function whose source is changed.

    Whoever has a reference to the function runs the new code once it is put in its place.
    """
    where = edits[0].where
    function = _function(where)
    source = _edited(textwrap.dedent(inspect.getsource(function)), edits)
    # Inside another function, so that `super()` finds its class where it was.
    body = textwrap.indent(source, "    ")
    text = f"def outer(__class__):\n{body}\n    return {function.__name__}\n"
    code = compile(text, f"<planted in {where}>", "exec", dont_inherit=True)
    [outer] = [one for one in code.co_consts if isinstance(one, CodeType)]
    [inner] = [
        one
        for one in outer.co_consts
        if isinstance(one, CodeType) and one.co_name == function.__name__
    ]
    if inner.co_freevars != function.__code__.co_freevars:
        raise Misplaced(f"{where}: it would need other variables from around it")
    if unknown := _globals_of(inner) - function.__globals__.keys() - vars(builtins).keys():
        raise Misplaced(f"{where}: its module has nothing called {', '.join(sorted(unknown))}")
    return inner


def _globals_of(code: CodeType) -> set[str]:
    named = {one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return named.union(*map(_globals_of, inner))
