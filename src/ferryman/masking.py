"""What must not be seen: `Secret[...]`, the names that give a secret away, and how both are hidden.

Everything that shows a job (the HTTP service, its events, logs and pages) goes through here. The
store holds the job as it is, since a worker needs it so.
"""

import functools
import itertools
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec

T = TypeVar("T")

MASK: Final = "***"
"""What stands in a secret's place."""


class SecretMark:
    """The annotation that `Secret[...]` adds."""

    def __repr__(self) -> str:
        return "Secret"


Secret = Annotated[T, SecretMark()]
"""A parameter, a field or a return value that is never shown: `def f(key: Secret[str])`."""

NAMES: Final = frozenset(
    {
        "password", "passwd", "passphrase", "pwd", "secret", "token", "authorization", "auth",
        "credential", "credentials", "cookie", "apikey", "accesskey", "privatekey", "secretkey",
        "signature", "otp", "pin", "cvv", "ssn",
    }
)  # fmt: skip
"""Words that make a name a secret's: the whole name, or one or two words of it (`api_key`)."""

_LEAST: Final = 4
"""Characters of a secret value that is also hidden where it occurs in text."""

_PAIR: Final = re.compile(
    r"""(?ix) (?P<name> (?: pass(?:word|wd|phrase) | pwd | secret | token | api[_-]?key
        | authorization | credentials? | cookie | (?:access|private|secret)[_-]?key | signature )
        [\w-]{0,64} ["']? \s{0,8} [=:] \s* )
        (?: (?: bearer | basic | digest | token ) \s+ )?
        (?P<value> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | [^\s,;&"')\]}]+ )"""
)
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_IN_URL: Final = re.compile(r"(://[^\s:@/]*):[^\s@/]+@")


def is_secret_name(name: str) -> bool:
    """Whether a name alone says that its value is to be hidden."""
    words = [word.lower() for word in _WORD.findall(name)]
    pairs = map("".join, itertools.pairwise(words))
    return not NAMES.isdisjoint(words) or not NAMES.isdisjoint(pairs)


_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def is_secret_kind(kind: Any) -> bool:
    """Whether an annotation is marked as `Secret[...]`."""
    return typing.get_origin(kind) is Annotated and any(
        isinstance(extra, SecretMark) for extra in kind.__metadata__
    )


def mask(value: Any, kind: Any = Any, name: str = "") -> Any:
    """Plain JSON values with every secret replaced by `MASK`.

    Args:
        kind: the annotation that the value belongs to; `Secret[...]` counts at any depth of it.
        name: what the value is called.
    """
    return _walk(value, kind, name, _hide)


def secrets(value: Any, kind: Any = Any, name: str = "") -> frozenset[str]:
    """The texts that `mask` would hide in `value`, to be hidden in other text too."""
    found: set[str] = set()

    def collect(secret: Any) -> Any:
        found.update(text for text in _texts(secret) if len(text) >= _LEAST)
        return MASK

    _walk(value, kind, name, collect)
    return frozenset(found)


def mask_text(text: str, known: Collection[str] = ()) -> str:
    """Text without the `known` secrets and without what looks like one (`password=…`)."""
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _PAIR.sub(rf"\g<name>{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _IN_URL.sub(rf"\1:{MASK}@", text)


def unmask(value: Any, stored: Any) -> Any:
    """`value` with `MASK` replaced by what `stored` holds in the same place.

    For who edits what was shown to them, and sends it back.
    """
    if value == MASK:
        return stored
    if isinstance(value, dict) and isinstance(stored, dict):
        return {key: unmask(item, stored.get(key, item)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(stored, list):
        beyond = value[len(stored) :]
        return [unmask(*pair) for pair in zip(value, stored, strict=False)] + beyond
    return value


def _hide(_: Any) -> Any:
    return MASK


def _walk(value: Any, kind: Any, name: str, meet: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if any(map(is_secret_kind, _arms(kind))) or (name and is_secret_name(name)):
        return meet(value)
    match value:
        case dict():
            return {key: _walk(item, _field(kind, key), key, meet) for key, item in value.items()}
        case list():
            kinds = _items(kind, len(value))
            return [_walk(*pair, "", meet) for pair in zip(value, kinds, strict=True)]
        case _:
            return value


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
        case None | bool():
            pass
        case _:
            yield str(value)


def _arms(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a union, each alone; marks stay on them."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(arm for one in typing.get_args(kind) for arm in _arms(one))
    return (kind,)


def _bare(kind: Any) -> Any:
    """A kind without `Annotated` and `NewType` around it."""
    while True:
        if typing.get_origin(kind) is Annotated:
            kind = kind.__origin__
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        else:
            return kind


def _field(kind: Any, key: Any) -> Any:
    """The annotation of what stands under `key` in a JSON object of this kind."""
    found: list[Any] = []
    for arm in _arms(kind):
        bare = _bare(arm)
        if len(_arms(bare)) > 1:
            found.append(_field(bare, key))
        elif isinstance(origin := typing.get_origin(bare), type) and issubclass(origin, Mapping):
            found.append(typing.get_args(bare)[-1])
        elif key in (fields := _fields(origin or bare)):
            found.append(fields[key])
    return typing.Union[tuple(found)] if found else Any  # noqa: UP007 - made at run time


def _items(kind: Any, length: int) -> list[Any]:
    """The annotation of each item of a JSON array of this kind."""
    found: list[list[Any]] = []
    for arm in _arms(kind):
        bare = _bare(arm)
        args = typing.get_args(bare)
        if len(_arms(bare)) > 1:
            found.append(_items(bare, length))
        elif typing.get_origin(bare) is tuple and args[-1:] != (...,):
            found.append([*args, *[Any] * length][:length])
        elif args:
            found.append([args[0]] * length)
        elif fields := list(_fields(bare).values()):  # a NamedTuple, or a Struct as an array
            found.append([*fields, *[Any] * length][:length])
    if not found:
        return [Any] * length
    return [typing.Union[each] for each in zip(*found, strict=True)]  # noqa: UP007


@functools.lru_cache(maxsize=1024)
def _fields(kind: Any) -> dict[str, Any]:
    """The annotations of a class's fields, by the names that they have in JSON."""
    if not isinstance(kind, type) or not hasattr(kind, "__annotations__"):
        return {}
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception:  # an annotation that cannot be resolved says nothing
        return {}
    if issubclass(kind, msgspec.Struct):
        return {one.encode_name: hints[one.name] for one in msgspec.structs.fields(kind)}
    models: Mapping[str, Any] = getattr(kind, "model_fields", {})
    aliases = {getattr(model, "alias", None) or name: name for name, model in models.items()}
    return {**hints, **{alias: hints[name] for alias, name in aliases.items() if name in hints}}
