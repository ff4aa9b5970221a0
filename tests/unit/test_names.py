"""Ids, names, keys and priorities."""

import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.domain.errors import InvalidName
from ferryman.domain.ids import check_key, check_name, new_id
from ferryman.domain.priority import LIMIT, Priority, parse_priority, priority_name


def test_an_id_is_a_version_7_uuid_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    value = uuid.UUID(new_id())
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert before <= value.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_sort_by_the_millisecond_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for millisecond in (1, 2**20, 2**40, 2**41 + 1, 2**47):
        monkeypatch.setattr(time, "time_ns", lambda now=millisecond: now * 1_000_000)
        made += [new_id(), new_id()]
    assert [one[:13] for one in made] == sorted(one[:13] for one in made)


def test_ids_do_not_repeat() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_an_id_is_a_legal_name() -> None:
    assert len(new_id()) == 36
    check_name(new_id(), "job id")


@pytest.mark.parametrize("name", ["a", "ocr-17", "A.b_c-9", "0", "a" * 128])
def test_names_that_are_allowed(name: str) -> None:
    assert check_name(name, "queue") == name


@pytest.mark.parametrize(
    "name",
    ["", "a" * 129, "-a", ".a", "_a", "a b", "a/b", "a:b", "a{b}", "é", "a\n", "\na", "a\x00", "*",
     "٣", None, 17, b"a", ["a"]],
)  # fmt: skip
def test_names_that_are_not(name: Any) -> None:
    with pytest.raises(InvalidName, match="queue"):
        check_name(name, "queue")


@given(st.text())
def test_a_legal_name_is_safe_everywhere(text: str) -> None:
    try:
        check_name(text, "queue")
    except InvalidName:
        return
    assert text.isascii()
    assert not set(text) & set(" /:{}*?[]%'\"\\\n\x00")


@pytest.mark.parametrize("key", ["receipt:17", "a b", "é{%s}'", "\U0001f6a2", "k" * 256])
def test_keys_are_what_can_be_printed(key: str) -> None:
    assert check_key(key, "unique key") == key


@pytest.mark.parametrize(
    "key", ["", "k" * 257, "a\n", "\x00", "\ud800", "\x1b[31m", None, 17, b"k"]
)
def test_keys_that_are_not(key: Any) -> None:
    with pytest.raises(InvalidName, match="unique key"):
        check_key(key, "unique key")


@pytest.mark.parametrize(
    ("given_as", "expected"),
    [("urgent", 20), ("HIGH", 10), ("normal", 0), ("Low", -10), (5, 5), ("-7", -7),
     (Priority.HIGH, 10), (LIMIT, LIMIT), (-LIMIT, -LIMIT)],
)  # fmt: skip
def test_priorities(given_as: Any, expected: int) -> None:
    parsed = parse_priority(given_as)
    assert parsed == expected
    assert type(parsed) is int


@pytest.mark.parametrize(
    "wrong",
    ["", "highest", LIMIT + 1, -LIMIT - 1, "1e2", 1.5, float("nan"), float("inf"), True, False,
     None, [], b"high"],
)  # fmt: skip
def test_what_is_no_priority(wrong: Any) -> None:
    with pytest.raises(InvalidName, match="priority"):
        parse_priority(wrong)


def test_priorities_have_names_where_there_are_any() -> None:
    assert [priority_name(value) for value in (20, 10, 0, -10, 3)] == [
        "urgent",
        "high",
        "normal",
        "low",
        "3",
    ]
