"""Arguments and results as JSON: what travels, what is refused, and where the limits are."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import math
import typing
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.codec import (
    ARGS_LIMIT,
    RESULT_LIMIT,
    Signature,
    decode_args,
    decode_result,
    encode_args,
    encode_result,
)
from ferryman.domain.errors import InvalidArguments, PayloadTooLarge

NAN = math.nan
MOMENT = datetime.datetime(2026, 3, 29, 1, 2, 3, 456789, datetime.UTC)


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Word(enum.StrEnum):
    YES = "yes"


class Odd(enum.Enum):
    NAN = math.nan


@dataclasses.dataclass
class Point:
    x: float
    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Line:
    start: Point
    end: Point | None = None


class Movie(typing.TypedDict):
    title: str
    year: typing.NotRequired[int]


class Pair(typing.NamedTuple):
    left: float
    right: str = ""


class Invoice(msgspec.Struct):
    total: decimal.Decimal
    at: datetime.datetime | None = None


class Reading(msgspec.Struct, array_like=True):
    value: float


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: list[str]


class User(pydantic.BaseModel):
    name: str
    born: datetime.date
    score: float = 0.0


TRAVELLERS: list[tuple[Any, Any]] = [
    (str, "é日\U0001f6a2\x00\r\n\"'{}%s\\"),
    (str, ""),
    (int, 2**70),
    (int, -(2**63)),
    (int, 2**53 + 1),
    (float, 0.1),
    (float, -0.0),
    (float, 1e308),
    (float, 5e-324),
    (float, 1.0),
    (bool, True),
    (None, None),
    (bytes, bytes(range(256))),
    (bytes, b""),
    (datetime.datetime, MOMENT),
    (datetime.datetime, datetime.datetime(2026, 1, 1, 2, 3)),
    (datetime.datetime, datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)),
    (datetime.date, datetime.date(2026, 2, 28)),
    (datetime.timedelta, datetime.timedelta(days=-3, microseconds=7)),
    (uuid.UUID, uuid.UUID(int=2**127 + 5)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (decimal.Decimal, decimal.Decimal("1E+400")),
    (Color, Color.RED),
    (Size, Size.LARGE),
    (Word, Word.YES),
    (Point, Point(1.5, ["a"])),
    (Line, Line(Point(0.0), Point(1.0))),
    (Movie, {"title": "x"}),
    (Movie, {"title": "x", "year": 2}),
    (Pair, Pair(1.0, "r")),
    (Invoice, Invoice(decimal.Decimal("0.1"), MOMENT)),
    (Reading, Reading(2.0)),
    (Cat | Dog, Dog(["sit"])),
    (User, User(name="a", born=datetime.date(2000, 1, 1))),
    (list[int], [1, 2**70]),
    (list[Any], [1, None, "x", [], {}]),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], ()),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (dict[str, int], {"a": 1}),
    (dict[int, str], {1: "a"}),
    (dict[uuid.UUID, list[Point]], {uuid.UUID(int=1): [Point(1.0)]}),
    (dict[Color, bytes], {Color.RED: b"\xff"}),
    (dict[str, Any], {"a": {"b": [1, 2.0, None]}}),
    (list[User], [User(name="a", born=datetime.date(2000, 1, 1), score=2.5)]),
    (dict[str, User | None], {"a": None}),
    (int | None, None),
    (int | str, "5"),
    (Literal["a", 1], 1),
    (Annotated[int, msgspec.Meta(ge=1)], 5),
    (Any, {"a": [1]}),
]


def signature_of(kind: Any) -> Signature:
    """The signature of a function with one argument, which also returns its kind."""

    def function(value: Any) -> Any:
        return value

    function.__annotations__ = {"value": kind, "return": kind}
    return Signature(function, frozenset())


def alike(first: Any, second: Any) -> bool:
    """Equal, of the same type, and of the same sign."""
    return bool(first == second) and type(first) is type(second) and repr(first) == repr(second)


@pytest.mark.parametrize(("kind", "value"), TRAVELLERS, ids=repr)
def test_every_type_travels_there_and_back(kind: Any, value: Any) -> None:
    signature = signature_of(kind)
    by_place = signature.decode(signature.encode((value,), {}))
    by_name = signature.decode(signature.encode((), {"value": value}))
    assert alike(by_place[0][0], value)
    assert alike((by_name[0] or [by_name[1].get("value")])[0], value)
    assert alike(decode_result(encode_result(value), signature.returns), value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(JSON), st.dictionaries(st.text(), JSON))
def test_plain_json_values_come_back_as_they_were(args: list[Any], kwargs: dict[str, Any]) -> None:
    data = encode_args(tuple(args), kwargs)
    assert repr(decode_args(data)) == repr((args, kwargs))
    assert json.loads(data) == [args, kwargs]


@given(JSON)
def test_results_come_back_as_they_were(value: Any) -> None:
    assert repr(decode_result(encode_result(value))) == repr(value)


@given(st.binary())
def test_no_stored_bytes_lead_to_anything_but_values_or_a_refusal(data: bytes) -> None:
    for decode in (decode_args, decode_result, signature_of(int).decode):
        try:
            decode(data)
        except InvalidArguments:
            continue


@pytest.mark.parametrize(
    "bad",
    [NAN, math.inf, -math.inf, [NAN], (1, (NAN,)), {NAN}, frozenset({NAN}), {"a": NAN}, {NAN: 1},
     {math.inf: 1}, {1: {2: [NAN]}}, [None, NAN], collections.OrderedDict(a=NAN), Odd.NAN,
     Point(NAN), Line(Point(0.0), Point(NAN)), {"a": [Point(NAN)]}, Pair(NAN), Reading(NAN),
     User(name="a", born=datetime.date(2000, 1, 1), score=NAN)],
    ids=repr,
)  # fmt: skip
def test_what_json_has_no_number_for_is_refused_anywhere(bad: Any) -> None:
    for encode in ENCODERS:
        with pytest.raises(InvalidArguments):
            encode(bad)


ENCODERS: list[Callable[[Any], bytes]] = [
    encode_result,
    lambda value: encode_args((value,), {}),
    lambda value: encode_args((), {"key": value}),
    lambda value: encode_args((0, [value]), {"key": None}),
]


@pytest.mark.parametrize("value", [[None], "null", {"nan": 1}, {"inf": None}, '"nan"', "NaN"])
def test_what_only_looks_like_it_is_fine(value: Any) -> None:
    assert decode_result(encode_result(value)) == value


@pytest.mark.parametrize(
    "bad",
    [object(), len, lambda: 1, int, 1j, range(3), iter([]), {(1, 2): 3}, {None: 1}, "\ud800",
     {"\ud800": 1}, ValueError("x"), 10**5000],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_cannot_travel_is_refused(bad: Any) -> None:
    for encode in ENCODERS:
        with pytest.raises(InvalidArguments):
            encode(bad)


def test_a_refusal_says_what_to_do_instead() -> None:
    with pytest.raises(InvalidArguments, match=r"object cannot be stored.*dataclass"):
        encode_args((object(),), {})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_values_may_be_deep_but_not_bottomless() -> None:
    assert decode_result(encode_result(nested(100))) == nested(100)
    for depth in (5_000, 100_000):
        with pytest.raises(InvalidArguments):
            encode_args((nested(depth),), {})
        with pytest.raises(InvalidArguments):
            decode_args(b"[[" + b"[" * depth + b"]" * depth + b"],{}]")
        with pytest.raises(InvalidArguments):
            decode_result(b"[" * depth + b"]" * depth)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidArguments):
        encode_result(value)


@pytest.mark.parametrize(
    ("encode", "limit", "frame"),
    [
        (encode_result, RESULT_LIMIT, len('""')),
        (lambda text: encode_args((text,), {}), ARGS_LIMIT, len('[[""],{}]')),
    ],
)
def test_the_limit_is_exact(encode: Callable[[str], bytes], limit: int, frame: int) -> None:
    assert len(encode("x" * (limit - frame))) == limit == 1024 * 1024
    with pytest.raises(PayloadTooLarge, match=r"1,048,577 bytes.*1,048,576"):
        encode("x" * (limit - frame + 1))


def test_the_limit_counts_bytes_and_not_characters() -> None:
    with pytest.raises(PayloadTooLarge):
        encode_result("é" * (RESULT_LIMIT // 2))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"null", b"[[]]", b"[[],[]]", b"[{},[]]", b"[[],{},1]", b"[[],{}] x",
     b"\xff", b"[[NaN],{}]", b"[[1e999],{}]", b"[[],{1:2}]", b"[['a'],{}]"],
)  # fmt: skip
def test_stored_arguments_of_another_shape_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArguments):
        decode_args(data)


def test_no_result_is_none() -> None:
    assert decode_result(None) is None
    assert decode_result(None, int) is None


@pytest.mark.parametrize(
    ("kind", "data"), [(int, b'"a"'), (User, b'{"name":1}'), (Point, b"[]"), (int, b"{")]
)
def test_a_result_of_another_kind_is_refused(kind: Any, data: bytes) -> None:
    with pytest.raises(InvalidArguments):
        decode_result(data, kind)


def read_receipt(
    receipt_id: int, /, path: str, *pages: int, user: User | None = None, **more: float
) -> dict[str, int]:
    """A function with every kind of parameter."""
    return {}


ALL_KINDS = Signature(read_receipt, frozenset())


def test_every_kind_of_parameter_is_converted() -> None:
    user = User(name="a", born=datetime.date(2000, 1, 1))
    data = ALL_KINDS.encode((1, "p", 2, 3), {"user": user, "x": 1.5})
    args, kwargs = ALL_KINDS.decode(data)
    assert args == [1, "p", 2, 3]
    assert kwargs == {"user": user, "x": 1.5}
    assert ALL_KINDS.returns == dict[str, int]


def test_defaults_stay_with_the_function() -> None:
    """What is not given is not stored, so that a later release may change the default."""
    assert ALL_KINDS.encode((1, "p"), {}) == b'[[1,"p"],{}]'
    assert ALL_KINDS.decode(b'[[1,"p"],{}]') == ([1, "p"], {})


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "receipt_id"),
        ((1,), {}, "path"),
        (("1", "p"), {}, "receipt_id"),
        ((1.5, "p"), {}, "receipt_id"),
        ((True, "p"), {}, "receipt_id"),
        ((None, "p"), {}, "receipt_id"),
        ((1, 2), {}, "path"),
        ((1, b"p" * 3), {"user": 5}, "user"),
        ((1, "p", "q"), {}, "pages"),
        ((1, "p"), {"user": {"name": "a"}}, "user"),
        ((1, "p"), {"x": "much"}, "more"),
        ((1, "p"), {"path": "q"}, "path"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_both_ends(
    args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArguments, match=message):
        ALL_KINDS.encode(args, kwargs)
    with pytest.raises(InvalidArguments, match=message):
        ALL_KINDS.decode(encode_args(args, kwargs))


def test_what_the_worker_fills_in_is_not_asked_for() -> None:
    def function(number: int, *, engine: object, context: object) -> None: ...

    signature = Signature(function, frozenset({"engine", "context"}))
    assert signature.decode(signature.encode((1,), {})) == ([1], {})
    with pytest.raises(InvalidArguments, match="engine"):
        signature.encode((1,), {"engine": 5})


def place(self: int, _0: str, /, under: Color, *, cls: Point | None = None) -> None:
    """A function whose parameters are called as a struct's fields had better not be."""


@pytest.mark.parametrize(
    ("data", "args", "kwargs"),
    [
        (b'[[1,"a","red"],{}]', [1, "a", Color.RED], {}),
        (b'[[1,"a"],{"under":"red"}]', [1, "a", Color.RED], {}),
        (b'[[1,"a"],{"cls":{"x":2},"under":"red"}]', [1, "a", Color.RED], {"cls": Point(2.0)}),
        (b'[[1,"a","red"],{"cls":null}]', [1, "a", Color.RED], {"cls": None}),
    ],
)
def test_arguments_arrive_alike_by_position_and_by_name(
    data: bytes, args: list[Any], kwargs: dict[str, Any]
) -> None:
    assert Signature(place, frozenset()).decode(data) == (args, kwargs)


@pytest.mark.parametrize(
    "data",
    [
        b'[[1,"a"],{}]',
        b'[[1],{"_0":"a","under":"red"}]',
        b'[[1,"a","red"],{"under":"red"}]',
        b'[[1,"a","red",null],{}]',
        b'[[1,"a","red"],{"other":1}]',
        b'[[1,"a","blue"],{}]',
        b'[[1,"a","red"],{"cls":{"x":"2"}}]',
        b'[[1,"a","red"]]',
    ],
)
def test_arguments_that_a_function_does_not_take_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArguments):
        Signature(place, frozenset()).decode(data)


@pytest.mark.parametrize("kind", [complex, len, Callable[[], int], Point | Cat | Movie])
def test_an_annotation_that_cannot_be_checked_is_refused_at_once(kind: Any) -> None:
    value: Any = object()
    with pytest.raises(InvalidArguments):
        signature_of(kind).encode((value,), {})


def test_parameters_without_annotations_take_any_json() -> None:
    def function(value, other=1):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, RUF100
        return value

    signature = Signature(function, frozenset())
    assert signature.decode(signature.encode(({"a": [1]},), {"other": None})) == (
        [{"a": [1]}, None],
        {},
    )


@given(
    st.integers(),
    st.text(),
    st.lists(st.integers()),
    st.dictionaries(st.text(), st.floats(-1e9, 1e9)),
)
def test_whatever_fits_arrives(
    number: int, path: str, pages: list[int], more: dict[str, float]
) -> None:
    named = {key: value for key, value in more.items() if key not in ("user", "path")}
    args, kwargs = ALL_KINDS.decode(ALL_KINDS.encode((number, path, *pages), named))
    assert (args, kwargs) == ([number, path, *pages], named)


def test_what_pydantic_complains_of_does_not_repeat_the_value() -> None:
    def greet(user: User) -> None: ...

    with pytest.raises(InvalidArguments, match="born: ") as told:
        Signature(greet, frozenset()).encode(({"name": "Ada", "born": "a-secret-text"},), {})
    assert "a-secret-text" not in str(told.value)
