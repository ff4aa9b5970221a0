"""How each outcome becomes the next state of its job."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.domain.outcomes import (
    MAX_KILLS,
    PARK_DELAYS,
    Cancelled,
    Ending,
    Failed,
    Failure,
    HandedBack,
    Outcome,
    Parked,
    ProcessLost,
    Retry,
    Settling,
    Snoozed,
    Succeeded,
    settle,
)
from ferryman.domain.policy import MAX_DELAY, RetryPolicy
from ferryman.domain.states import JobState, Reason, legal

S = JobState
FAILURE = Failure(kind="builtins.ValueError", message="no")


def most(low: float, high: float) -> float:
    """A draw that always gives the upper end."""
    return high


def facts(**fields: Any) -> Settling:
    values: dict[str, Any] = {
        "job_id": "a",
        "queue": "q",
        "token": 5,
        "attempts": 0,
        "deliveries": 1,
        "kills": 0,
        "retry": RetryPolicy(max_attempts=3, backoff="fixed", base=7.0),
        "result_ttl": 60.0,
    }
    return Settling(**(values | fields))


def settled(outcome: Outcome, **fields: Any) -> Ending:
    ending = settle(outcome, facts(**fields), most)
    assert (ending.job_id, ending.queue, ending.token) == ("a", "q", 5)
    assert legal(S.RUNNING, ending.state)
    return ending


def test_success_keeps_its_result_for_a_while() -> None:
    ending = settled(Succeeded(b"1"))
    assert (ending.state, ending.reason) == (S.SUCCEEDED, Reason.RETURNED)
    assert (ending.result, ending.ttl, ending.charge, ending.kill) == (b"1", 60.0, 0, 0)


def test_a_failure_with_attempts_left_is_tried_again() -> None:
    ending = settled(Failed(failure=FAILURE))
    assert (ending.state, ending.reason, ending.delay) == (S.SCHEDULED, Reason.RETRY, 7.0)
    assert (ending.charge, ending.failure, ending.ttl) == (1, FAILURE, None)


def test_the_last_attempt_is_the_last() -> None:
    ending = settled(Failed(failure=FAILURE), attempts=2)
    assert (ending.state, ending.reason, ending.charge) == (S.FAILED, Reason.EXHAUSTED, 1)
    assert ending.failure == FAILURE
    assert settled(Failed(failure=FAILURE), attempts=1).state is S.SCHEDULED


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.MEMORY_LIMIT])
def test_the_reason_of_the_last_attempt_names_the_ending(reason: Reason) -> None:
    outcome = Failed(failure=FAILURE, reason=reason)
    assert settled(outcome).reason is Reason.RETRY
    assert settled(outcome, attempts=2).reason is reason


@pytest.mark.parametrize(
    "reason", [Reason.PERMANENT, Reason.INVALID_ARGUMENTS, Reason.UNKNOWN_RESULT]
)
def test_what_is_not_retryable_fails_at_once(reason: Reason) -> None:
    ending = settled(Failed(failure=FAILURE, reason=reason, retryable=False))
    assert (ending.state, ending.reason, ending.charge) == (S.FAILED, reason, 1)


def test_a_job_may_choose_its_own_delay() -> None:
    assert settled(Failed(failure=FAILURE, delay=99.0)).delay == 99.0


@pytest.mark.parametrize("outcome", [Failed(failure=FAILURE, delay=0.0), Failed(failure=FAILURE)])
def test_a_retry_without_a_delay_is_queued(outcome: Failed) -> None:
    ending = settled(outcome, retry=RetryPolicy(max_attempts=3, base=0.0))
    assert (ending.state, ending.reason, ending.delay) == (S.QUEUED, Reason.RETRY, 0.0)


def test_one_retry_at_once_and_then_the_back_off() -> None:
    policy = RetryPolicy(max_attempts=4, delays=(0.0,), backoff="exponential", base=10.0)
    steps = [settled(Failed(failure=FAILURE), attempts=number, retry=policy) for number in range(4)]
    assert [step.state for step in steps] == [S.QUEUED, S.SCHEDULED, S.SCHEDULED, S.FAILED]
    assert [step.delay for step in steps[:3]] == [0.0, 10.0, 20.0]


def test_a_snooze_charges_nothing() -> None:
    ending = settled(Snoozed(30.0))
    assert (ending.state, ending.reason, ending.delay) == (S.SCHEDULED, Reason.SNOOZED, 30.0)
    assert (ending.charge, ending.kill) == (0, 0)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, -math.inf, 1e300])
def test_no_job_can_ask_for_a_delay_that_no_store_can_write(seconds: float) -> None:
    for outcome in (Snoozed(seconds), Failed(failure=FAILURE, delay=seconds)):
        assert 0 <= settled(outcome).delay <= MAX_DELAY


def test_a_cancelled_job_says_who() -> None:
    ending = settled(Cancelled(Reason.CANCELLED_BY, "anna"))
    assert (ending.state, ending.reason, ending.detail) == (
        S.CANCELLED,
        Reason.CANCELLED_BY,
        "anna",
    )
    assert (ending.charge, ending.ttl) == (0, 60.0)


@pytest.mark.parametrize("deliveries", [1, 2, 5, 6, 1000])
def test_a_parked_job_rests_longer_each_time(deliveries: int) -> None:
    longest = PARK_DELAYS[min(deliveries, len(PARK_DELAYS)) - 1]
    ending = settled(Parked("unknown task"), deliveries=deliveries)
    assert (ending.state, ending.reason, ending.charge) == (S.SCHEDULED, Reason.PARKED, 0)
    assert (ending.delay, ending.detail) == (longest, "unknown task")
    least = settle(Parked(""), facts(deliveries=deliveries), lambda low, high: low)
    assert least.delay == longest / 2


def test_a_hand_back_charges_nothing() -> None:
    ending = settled(HandedBack(), attempts=2, kills=2)
    assert (ending.state, ending.reason) == (S.QUEUED, Reason.HANDED_BACK)
    assert (ending.charge, ending.kill, ending.delay) == (0, 0, 0.0)


def test_a_lost_process_charges_a_kill_until_it_is_poison() -> None:
    for kills in range(MAX_KILLS - 1):
        ending = settled(ProcessLost("killed by signal 9"), kills=kills, attempts=99)
        assert (ending.state, ending.reason) == (S.QUEUED, Reason.LEASE_LOST)
        assert (ending.kill, ending.charge) == (1, 0)
    ending = settled(ProcessLost("killed by signal 9"), kills=MAX_KILLS - 1)
    assert (ending.state, ending.reason, ending.kill) == (S.FAILED, Reason.WORKER_LOST, 1)
    assert ending.failure is not None
    assert ending.failure.message == ending.detail == "killed by signal 9"


OUTCOMES = st.one_of(
    st.builds(Succeeded, st.binary()),
    st.builds(
        Failed,
        failure=st.just(FAILURE),
        retryable=st.booleans(),
        delay=st.none() | st.floats(),
    ),
    st.builds(Snoozed, st.floats()),
    st.builds(Cancelled, st.just(Reason.CANCELLED_BY), st.text()),
    st.builds(Parked, st.text()),
    st.just(HandedBack()),
    st.builds(ProcessLost, st.text()),
)
FACTS = st.fixed_dictionaries(
    {
        "attempts": st.integers(0, 100),
        "deliveries": st.integers(1, 100),
        "kills": st.integers(0, MAX_KILLS - 1),
    }
)


@given(OUTCOMES, FACTS)
def test_whatever_happens_the_ending_is_one_that_stores_can_write(
    outcome: Outcome, given_facts: dict[str, int]
) -> None:
    ending = settled(outcome, **given_facts)
    assert 0 <= ending.delay <= MAX_DELAY
    assert ending.delay == 0 or ending.state is S.SCHEDULED
    assert ending.charge + ending.kill <= 1
    assert (ending.result is None) == (ending.state is not S.SUCCEEDED)


def test_a_retry_is_policy_and_exception_in_one() -> None:
    retry = Retry(max_attempts=4, on=(ValueError, "app.Oops"), never=(KeyError,), delays=(0, 5))
    assert retry.policy.on == ("ValueError", "app.Oops")
    assert retry.policy.never == ("KeyError",)
    assert (retry.policy.max_attempts, retry.policy.delays) == (4, (0, 5))
    assert str(Retry("later", delay=3)) == "later"
    assert Retry(delay=3).delay == 3
