"""Retry policies and amounts of memory."""

import random
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.domain.errors import ConfigError
from ferryman.domain.policy import (
    MAX_DELAY,
    Backoff,
    RetryPolicy,
    TaskPolicy,
    exception_names,
    full_jitter,
    parse_bytes,
)

SECONDS = st.floats(0, MAX_DELAY)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 1000),
    backoff=st.sampled_from(["fixed", "linear", "exponential"]),
    base=SECONDS,
    cap=SECONDS,
    jitter=st.booleans(),
    delays=st.lists(SECONDS, max_size=4).map(tuple),
)


def most(low: float, high: float) -> float:
    return high


@given(POLICIES, st.integers(1, 10**6), st.integers())
def test_a_delay_stays_between_nothing_and_the_cap(
    policy: RetryPolicy, attempts: int, seed: int
) -> None:
    delay = policy.delay(attempts, random.Random(seed).uniform)
    if attempts <= len(policy.delays):
        assert delay == policy.delays[attempts - 1]
    else:
        assert 0 <= delay <= policy.cap
        assert delay <= policy.delay(attempts, most)


@given(POLICIES, st.integers(1, 10**4))
def test_delays_never_shrink_before_the_jitter(policy: RetryPolicy, attempts: int) -> None:
    first = len(policy.delays) + 1
    assert policy.delay(first + attempts - 1, most) <= policy.delay(first + attempts, most)


@given(POLICIES, st.integers(1, 100))
def test_jitter_is_drawn_from_nothing_to_the_whole(policy: RetryPolicy, step: int) -> None:
    bounds: list[tuple[float, float]] = []

    def noted(low: float, high: float) -> float:
        bounds.append((low, high))
        return low

    attempts = len(policy.delays) + step
    delay = policy.delay(attempts, noted)
    if policy.jitter:
        assert bounds == [(0.0, policy.delay(attempts, most))]
        assert delay == 0.0
    else:
        assert bounds == []


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [
        ("fixed", [10, 10, 10, 10, 10]),
        ("linear", [10, 20, 30, 40, 50]),
        ("exponential", [10, 20, 40, 50, 50]),
    ],
)
def test_the_three_ways_to_back_off(backoff: Backoff, expected: list[float]) -> None:
    policy = RetryPolicy(backoff=backoff, base=10, cap=50)
    assert [policy.delay(attempts, most) for attempts in range(1, 6)] == expected


def test_the_list_comes_first_and_the_back_off_begins_anew_after_it() -> None:
    policy = RetryPolicy(backoff="exponential", base=10, delays=(0, 3.5))
    assert [policy.delay(attempts, most) for attempts in range(1, 6)] == [0, 3.5, 10, 20, 40]


def test_entries_of_the_list_have_no_jitter() -> None:
    policy = RetryPolicy(delays=(30.0,), jitter=True)
    assert policy.delay(1, lambda low, high: low) == 30.0


@pytest.mark.parametrize(
    "fields",
    [
        {"max_attempts": 0},
        {"base": -1},
        {"base": float("nan")},
        {"base": float("inf")},
        {"cap": -0.1},
        {"cap": MAX_DELAY + 1},
        {"delays": (1, -1)},
        {"backoff": "quadratic"},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        RetryPolicy(**fields)


class OopsError(ValueError):
    """An application's own error."""


OOPS = f"{__name__}.OopsError"


@pytest.mark.parametrize(
    ("on", "never", "expected"),
    [
        ((), (), True),
        (("ValueError",), (), True),  # a base class
        (("builtins.ValueError",), (), True),
        ((OOPS,), (), True),
        (("OopsError",), (), True),
        (("Exception",), (), True),
        (("KeyError",), (), False),
        (("KeyError", OOPS), (), True),
        ((), ("ValueError",), False),
        ((), (OOPS,), False),
        ((), ("KeyError",), True),
        (("Exception",), (OOPS,), False),
        ((OOPS,), ("Exception",), False),  # never wins, however near the other is
    ],
)
def test_which_errors_are_retried(
    on: tuple[str, ...], never: tuple[str, ...], expected: bool
) -> None:
    assert RetryPolicy(on=on, never=never).retries(OopsError()) is expected


def test_a_type_and_its_name_are_the_same_choice() -> None:
    kinds: list[type[BaseException]] = [OopsError, ValueError, subprocess.TimeoutExpired, KeyError]
    for kind in kinds:
        policy = RetryPolicy(on=exception_names([kind]))
        assert policy.retries(kind.__new__(kind))
        assert not policy.retries(ZeroDivisionError())
    assert exception_names([ValueError, OopsError, "x.Y"]) == ("ValueError", OOPS, "x.Y")


def test_the_usual_draw_is_even() -> None:
    draws = [full_jitter(0.0, 8.0) for _ in range(2000)]
    assert 0 <= min(draws) < 1
    assert 7 < max(draws) <= 8
    assert 3.5 < sum(draws) / len(draws) < 4.5


@pytest.mark.parametrize(
    "fields",
    [
        {"timeout": 0},
        {"timeout": -1.0},
        {"timeout": float("nan")},
        {"result_ttl": -1},
        {"result_ttl": float("nan")},
        {"result_ttl": float("inf")},
        {"isolation": "thread"},
        {"memory_limit": 2**30},
    ],
)
def test_a_task_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        TaskPolicy(**fields)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1073741824, 2**30),
        ("1073741824", 2**30),
        ("1 GiB", 2**30),
        ("1gib", 2**30),
        (" 512 MiB ", 512 * 2**20),
        ("0.5 GiB", 2**29),
        ("64 KiB", 65536),
        ("1 kB", 1000),
        ("2 MB", 2_000_000),
        ("3 GB", 3_000_000_000),
        ("10 B", 10),
    ],
)
def test_amounts_of_memory(text: Any, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GiB", "1 TiB", "-1", "0", "0 GiB", "1 GiB 2", "one", "nan", "inf", "inf GiB",
             "1 ibg", None, True, [], -5, float("inf"), 0.1]
)  # fmt: skip
def test_what_is_no_amount_of_memory(text: Any) -> None:
    with pytest.raises(ConfigError, match="amount of memory"):
        parse_bytes(text)
