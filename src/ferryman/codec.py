"""Arguments and results as JSON, checked against a function's annotations at both ends.

There is no pickle here and no hook that imports what a payload names: what comes out of a store
can only become one of the types that the function itself declares.
"""

import enum
import functools
import inspect
import itertools
import math
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from ferryman.domain.errors import InvalidArguments, PayloadTooLarge

ARGS_LIMIT: Final = 1024 * 1024
RESULT_LIMIT: Final = 1024 * 1024
"""Bytes of encoded arguments, and of an encoded result."""


def _is_pydantic(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__")


def _encode_other(value: Any) -> Any:
    if _is_pydantic(type(value)) and hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise InvalidArguments(
        f"a {type(value).__qualname__} cannot be stored as JSON: pass an id, a path, a dict, "
        "a dataclass, a msgspec.Struct or a pydantic model instead"
    )


def _decode_other(kind: Any, value: Any) -> Any:
    if _is_pydantic(kind) and hasattr(kind, "model_validate"):
        try:
            return kind.model_validate(value)
        except ValueError as error:
            raise ValueError(_without_input(error)) from None
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise InvalidArguments(f"the annotation {kind!r} is not a type that can travel as JSON")


def _without_input(error: Any) -> str:
    """What pydantic complains of. Its own text repeats the value, which may be a secret."""
    if not hasattr(error, "errors"):
        return str(error)
    found = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found)


_encoder: Final = msgspec.json.Encoder(enc_hook=_encode_other)
_decoder: Final = msgspec.json.Decoder()


def _encode(value: Any, limit: int, what: str) -> bytes:
    try:
        data = _encoder.encode(value)
    except (InvalidArguments, RecursionError, TypeError, ValueError, OverflowError) as error:
        raise InvalidArguments(f"{what} cannot be stored as JSON: {error}") from error
    if len(data) > limit:
        raise PayloadTooLarge(
            f"{what} take {len(data):,} bytes as JSON; the limit is {limit:,}. "
            "Store the data elsewhere and pass its id, path or URL"
        )
    # JSON has no NaN, and the encoder writes null for it: a number would silently be lost.
    if _MARKS_OF_NAN.search(data) and _has_nan(value):
        raise InvalidArguments(f"{what} hold NaN or an infinity, which JSON cannot say")
    return data


_MARKS_OF_NAN: Final = re.compile(rb'null|"(?:nan|-?inf)"')
"""What NaN and the infinities look like when encoded: as a value, and as the key of a dict."""


def _has_nan(value: Any) -> bool:
    match value:
        case None:
            return False
        case float():
            return not math.isfinite(value)
        case Mapping():
            return any(map(_has_nan, value.keys())) or any(map(_has_nan, value.values()))
        case list() | tuple() | set() | frozenset():
            return any(map(_has_nan, value))
        case enum.Enum():
            return _has_nan(value.value)
        case msgspec.Struct():
            return _has_nan(msgspec.structs.asdict(value))
        case _ if _is_pydantic(type(value)):
            return _has_nan(value.model_dump())
        case _:
            fields = getattr(value, "__dataclass_fields__", ())
            return any(_has_nan(getattr(value, name)) for name in fields)


def encode_args(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    """Arguments as `[[positional…], {"keyword": …}]`.

    Raises:
        InvalidArguments: a value that JSON cannot say.
        PayloadTooLarge: over `ARGS_LIMIT`.
    """
    return _encode((args, kwargs), ARGS_LIMIT, "the arguments")


def as_stored(text: str) -> bytes:
    """Text as it stands within stored arguments."""
    return _encoder.encode(text)[1:-1]


def decode_args(data: bytes) -> tuple[list[Any], dict[str, Any]]:
    """The plain JSON values behind `encode_args`.

    Raises:
        InvalidArguments: `data` is not what `encode_args` writes.
    """
    try:
        value = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidArguments(f"the stored arguments are not JSON: {error}") from error
    match value:
        case [list() as args, dict() as kwargs]:
            return args, kwargs
        case _:
            raise InvalidArguments("the stored arguments must be [[positional…], {keyword: …}]")


def encode_result(value: Any) -> bytes:
    """A result as JSON.

    Raises:
        InvalidArguments: a value that JSON cannot say.
        PayloadTooLarge: over `RESULT_LIMIT`.
    """
    return _encode(value, RESULT_LIMIT, "the result")


def decode_result(data: bytes | None, kind: Any = Any) -> Any:
    """A result as plain JSON values, or as `kind` where the task's return annotation is known.

    Raises:
        InvalidArguments: the stored value does not fit `kind`.
    """
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_decode_other)
    except (msgspec.DecodeError, RecursionError, TypeError, ValueError) as error:
        raise InvalidArguments(f"the stored result is not a {kind}: {error}") from error


_UNSET: Final = msgspec.UNSET
_BY_POSITION: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_OF_ANY_NUMBER: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _Layout:
    """Arguments as two structs, which msgspec decodes and checks at one go.

    One holds what is passed by position and one what is passed by name; a parameter that is not
    passed is `UNSET` there.
    """

    def __init__(self, parameters: Collection[inspect.Parameter], kinds: Mapping[str, Any]) -> None:
        how = inspect.Parameter
        self._positions = [one.name for one in parameters if one.kind is not how.KEYWORD_ONLY]
        self._names = [one.name for one in parameters if one.kind is not how.POSITIONAL_ONLY]
        self._required = {one.name for one in parameters if one.default is one.empty}
        # Whether so many arguments are enough, where none is passed by name.
        counts = range(len(self._positions) + 1)
        self._enough = [self._required <= {*self._positions[:count]} for count in counts]
        by_position = _struct(self._positions, kinds, array_like=True)
        by_name = _struct(self._names, kinds, array_like=False)
        self._none_by_name = by_name()
        both: Any = tuple.__class_getitem__((by_position, by_name))
        self._decode = msgspec.json.Decoder(both, dec_hook=_decode_other).decode

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]] | None:
        """The arguments, or `None` if anything about them does not fit."""
        try:
            by_position, by_name = self._decode(data)
        except (msgspec.DecodeError, RecursionError, TypeError, ValueError):
            return None
        args = list(msgspec.structs.astuple(by_position))
        while args and args[-1] is _UNSET:
            args.pop()
        if by_name == self._none_by_name:
            return (args, {}) if self._enough[len(args)] else None
        values = zip(self._names, msgspec.structs.astuple(by_name), strict=True)
        kwargs = {name: value for name, value in values if value is not _UNSET}
        passed = self._positions[: len(args)]
        if not kwargs.keys().isdisjoint(passed) or not self._required <= {*passed, *kwargs}:
            return None
        for name in itertools.takewhile(kwargs.__contains__, self._positions[len(args) :]):
            args.append(kwargs.pop(name))
        return args, kwargs


def _struct(names: Sequence[str], kinds: Mapping[str, Any], *, array_like: bool) -> type:
    # Fields of our own naming: a parameter may be called as no struct's field can be.
    fields = [(f"_{number}", kinds[name], _UNSET) for number, name in enumerate(names)]
    rename = {f"_{number}": name for number, name in enumerate(names)}
    return msgspec.defstruct(
        "Arguments", fields, array_like=array_like, rename=rename, forbid_unknown_fields=True
    )


class Signature:
    """What a task's function takes: binds and checks arguments against its annotations.

    Args:
        function: the task's function.
        injected: parameters that the worker fills in (a context, resources), not the caller.

    Raises:
        InvalidArguments: an annotation that no JSON value can be checked against.
    """

    def __init__(self, function: Callable[..., Any], injected: frozenset[str]) -> None:
        hints = typing.get_type_hints(function, include_extras=True)
        signature = inspect.signature(function)
        self._name = function.__qualname__
        self._parameters = {
            name: parameter
            for name, parameter in signature.parameters.items()
            if name not in injected
        }
        # Where among all positions the worker fills something in, from left to right.
        self._gaps = [
            (place, name)
            for place, (name, parameter) in enumerate(signature.parameters.items())
            if name in injected and parameter.kind in _BY_POSITION
        ]
        self._signature = signature.replace(parameters=list(self._parameters.values()))
        self._kinds = {name: hints.get(name, Any) for name in self._parameters}
        self.returns: Any = hints.get("return", Any)
        for name, kind in self._kinds.items():
            self._check_kind(name, kind)
        parameters = self._parameters.values()
        fixed = all(one.kind not in _OF_ANY_NUMBER for one in parameters)
        self._layout = _Layout(parameters, self._kinds) if fixed else None

    def _check_kind(self, name: str, kind: Any) -> None:
        try:
            msgspec.json.Decoder(kind, dec_hook=_decode_other)
        except (TypeError, ValueError) as error:
            raise InvalidArguments(
                f"{self._name}({name}: {kind!r}): this annotation cannot be checked: {error}"
            ) from error

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """What the caller passes, by name and in order."""
        return self._parameters

    @property
    def kinds(self) -> Mapping[str, Any]:
        """The annotation of each parameter; of `*rest` and `**rest`, that of one item."""
        return self._kinds

    def kind(self, name: str) -> Any:
        """The annotation of what `gather` gives under a name."""
        parameter = self._parameters.get(name)
        if parameter is None:
            rest = (n for n, p in self._parameters.items() if p.kind is p.VAR_KEYWORD)
            return self._kinds.get(next(rest, ""), Any)
        kind = self._kinds[name]
        return list.__class_getitem__(kind) if parameter.kind is parameter.VAR_POSITIONAL else kind

    def spread(self, named: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments from one mapping by name, as other languages write it.

        What is for `*rest` is an array under `rest`; what is for `**rest` stands among the others.

        Raises:
            InvalidArguments: an argument by position without those before it.
        """
        left = dict(named)
        args: list[Any] = []
        missing = None
        rest = next((n for n, p in self._parameters.items() if p.kind is p.VAR_POSITIONAL), None)
        by_position = self._parameters if rest is not None and left.get(rest) else self._only_places
        for name, parameter in by_position.items():
            if parameter.kind not in (*_BY_POSITION, parameter.VAR_POSITIONAL):
                break
            if name not in left:
                missing = missing or name
                continue
            if missing:
                raise InvalidArguments(f"{self._name}: {name!r} needs {missing!r} before it")
            value = left.pop(name)
            if name == rest and not isinstance(value, list):
                raise InvalidArguments(f"{self._name}: {name!r} must be an array")
            args += value if name == rest else [value]
        if rest is not None and left.get(rest) == []:
            del left[rest]
        return tuple(args), left

    @property
    def _only_places(self) -> dict[str, inspect.Parameter]:
        return {n: p for n, p in self._parameters.items() if p.kind is p.POSITIONAL_ONLY}

    def gather(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `spread`.

        Raises:
            InvalidArguments: they do not fit the function.
        """
        named: dict[str, Any] = {}
        for name, value in self._bind(tuple(args), kwargs).arguments.items():
            match self._parameters[name].kind:
                case inspect.Parameter.VAR_KEYWORD:
                    named.update(value)
                case inspect.Parameter.VAR_POSITIONAL:
                    named[name] = list(value)
                case _:
                    named[name] = value
        return named

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The encoded arguments, after a check that a worker will accept them.

        Raises:
            InvalidArguments: they do not fit the annotations, or cannot be stored.
        """
        try:
            data = encode_args(args, kwargs)
        except InvalidArguments as error:
            raise type(error)(f"{self._name}: {error}") from error
        self.decode(data)
        return data

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments as the types that the annotations name.

        Raises:
            InvalidArguments: they do not fit.
        """
        decoded = self._layout and self._layout.decode(data)
        return decoded or self._decode_one_by_one(data)

    def fill(
        self, args: list[Any], kwargs: dict[str, Any], injected: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """What `decode` gave with the parameters that the worker fills in, ready for the call."""
        named = dict(injected)
        for place, name in self._gaps:
            if place <= len(args):  # else what stands before it is given by name, and so is it
                args = [*args[:place], named.pop(name), *args[place:]]
        return args, kwargs | named

    def _decode_one_by_one(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Slower, for all kinds of parameters, and with a word on what does not fit."""
        args, kwargs = decode_args(data)
        bound = self._bind(tuple(args), kwargs)
        for name, value in bound.arguments.items():
            bound.arguments[name] = self._convert(name, value)
        return list(bound.args), dict(bound.kwargs)

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        try:
            return self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self._name}{self._signature}: {error}") from error

    def _convert(self, name: str, value: Any) -> Any:
        convert = functools.partial(self._convert_one, name, self._kinds[name])
        match self._parameters[name].kind:
            case inspect.Parameter.VAR_POSITIONAL:
                return tuple(map(convert, value))
            case inspect.Parameter.VAR_KEYWORD:
                return {key: convert(item) for key, item in value.items()}
            case _:
                return convert(value)

    def _convert_one(self, name: str, kind: Any, value: Any) -> Any:
        if kind is Any:
            return value
        try:
            return msgspec.convert(
                value, kind, dec_hook=_decode_other, builtin_types=(), str_keys=True
            )
        except (msgspec.ValidationError, RecursionError, TypeError, ValueError) as error:
            raise InvalidArguments(f"{self._name}: argument {name!r}: {error}") from error
