"""What must not be seen: `Secret[...]`, the names that give a secret away, and how both are hidden.

Everything that shows a job (the HTTP service, its events, logs and pages) goes through here, and so
does what a worker writes of a job's words (its log, progress and errors), for only then is it sure
which arguments they are about. The store holds the arguments as they are, since a worker needs
them so.
"""

import contextlib
import functools
import itertools
import re
import types
import typing
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec

from ferryman.domain.errors import InvalidArguments

T = TypeVar("T")

MASK: Final = "***"
"""What stands in a secret's place."""


class SecretMark:
    """The annotation that `Secret[...]` adds."""

    def __repr__(self) -> str:
        return "Secret"

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), **_IN_SCHEMAS}


_IN_SCHEMAS: Final = {"writeOnly": True}
"""How a JSON schema says that a value is never shown."""

Secret = Annotated[T, SecretMark(), msgspec.Meta(extra_json_schema=_IN_SCHEMAS)]
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


def mask(value: Any, kind: Any = Any, name: str = "", known: Collection[str] = ()) -> Any:
    """Plain JSON values with every secret replaced by `MASK`.

    Args:
        kind: the annotation that the value belongs to; `Secret[...]` counts at any depth of it.
        name: what the value is called.
        known: secrets that are hidden within texts, too.
    """
    try:
        return _walk(value, kind, name, lambda _: MASK, known)
    except RecursionError:  # who nests values so deep shall not keep others from seeing a page
        return MASK


def secrets(value: Any, kind: Any = Any, name: str = "") -> frozenset[str]:
    """The texts that `mask` would hide in `value`, to be hidden in other text too."""
    found: set[str] = set()

    def collect(secret: Any) -> Any:
        found.update(text for text in _texts(secret) if len(text) >= _LEAST)
        return MASK

    with contextlib.suppress(RecursionError):
        _walk(value, kind, name, collect)
    return frozenset(found)


def hide(text: str, known: Collection[str]) -> str:
    """Text without the `known` secrets."""
    for secret in sorted(known, key=len, reverse=True) if known else ():
        text = text.replace(secret, MASK)
    return text


def mask_text(text: str, known: Collection[str] = ()) -> str:
    """Text without the `known` secrets and without what looks like one (`password=…`)."""
    text = _PAIR.sub(rf"\g<name>{MASK}", hide(text, known))
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _IN_URL.sub(rf"\1:{MASK}@", text)


def unmask(value: Any, shown: Any, stored: Any, place: str = "arguments") -> Any:
    """What is meant by `value`, which somebody made of `shown`: that is `stored` without secrets.

    A mask that was left where it was stands for what is stored there. In a list that was changed,
    that place is known only of an item that is as it was shown, with as many of its like as there
    were, and of the only item that is not.

    Raises:
        InvalidArguments: there is a mask that does not surely stand for one secret.
    """
    match value:
        case _ if not _holds_mask(value):
            return value
        case str() if shown == MASK:
            return stored
        case dict() if isinstance(shown, dict):
            return {
                key: unmask(item, shown.get(key), stored.get(key), f"{place}.{key}")
                for key, item in value.items()
            }
        case list() if isinstance(shown, list):
            return _unmask_items(value, shown, stored, place)
    raise InvalidArguments(
        f"{place}: it is not certain which value `{MASK}` stands for here: write the value anew"
    )


def _unmask_items(value: list[Any], shown: list[Any], stored: list[Any], place: str) -> list[Any]:
    looks, before = [list(map(_look, items)) for items in (value, shown)]
    many, many_before = Counter(looks), Counter(before)
    places: defaultdict[bytes, deque[int]] = defaultdict(deque)
    for at, look in enumerate(before):
        places[look].append(at)
    pairs = enumerate(zip(looks, before, strict=False))
    changed = [at for at, (look, had) in pairs if look != had]
    found: list[Any] = []
    for at, (item, look) in enumerate(zip(value, looks, strict=True)):
        if many[look] == many_before[look]:
            found.append(stored[places[look].popleft()])
            continue
        only = len(value) == len(shown) and changed == [at] and look not in many_before
        had, kept = (shown[at], stored[at]) if only else (None, None)
        found.append(unmask(item, had, kept, f"{place}[{at}]"))
    return found


def _look(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _holds_mask(value: Any) -> bool:
    match value:
        case str():
            return value == MASK
        case dict():
            return any(map(_holds_mask, value.values()))
        case list():
            return any(map(_holds_mask, value))
        case _:
            return False


def _walk(value: Any, kind: Any, name: str, meet: Any, known: Collection[str] = ()) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if any(map(is_secret_kind, _arms(kind))) or (name and is_secret_name(name)):
        return meet(value)
    match value:
        case dict():
            return {
                hide(key, known): _walk(item, _field(kind, key), key, meet, known)
                for key, item in value.items()
            }
        case list():
            kinds = _items(kind, len(value))
            return [_walk(*pair, "", meet, known) for pair in zip(value, kinds, strict=True)]
        case str():
            return hide(value, known)
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
