"""How an attempt ends: an outcome is a value, and one place turns it into the job's next state.

A running job may end itself by *raising* `Retry` or `Permanent`, or by *returning* `Snooze` or
`Cancel`. The executor yields one of the `Outcome` values, and `settle` maps it to an `Ending`,
the one record that the stores write.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ferryman.domain.policy import (
    MAX_DELAY,
    Backoff,
    RetryPolicy,
    exception_names,
    full_jitter,
)
from ferryman.domain.states import JobState, Reason

PARK_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds that a parked job rests before it is offered again, by how often it was delivered."""


class Retry(Exception):
    """A retry policy, and what a job raises to be tried again.

    As a policy: `@app.task(retry=Retry(max_attempts=4, backoff="exponential", base=60))`.
    Raised, `raise Retry(delay=30)` charges an attempt and waits `delay` seconds (or, without it,
    what the task's policy says) as long as attempts are left.

    Args:
        message: kept as the attempt's error when raised.
        delay: seconds until the next attempt, when raised.
        max_attempts, backoff, base, cap, jitter, delays: see `RetryPolicy` (seconds).
        on: exception types (or their names) that are retried; empty is: all.
        never: exception types (or their names) that are not retried.
    """

    def __init__(
        self,
        message: str = "the job asked for a retry",
        *,
        delay: float | None = None,
        max_attempts: int = 3,
        backoff: Backoff = "exponential",
        base: float = 5.0,
        cap: float = 3600.0,
        jitter: bool = True,
        delays: Sequence[float] = (),
        on: Sequence[type[BaseException] | str] = (),
        never: Sequence[type[BaseException] | str] = (),
    ) -> None:
        super().__init__(message)
        self.delay = delay
        self.policy = RetryPolicy(
            max_attempts=max_attempts,
            backoff=backoff,
            base=base,
            cap=cap,
            jitter=jitter,
            delays=tuple(delays),
            on=exception_names(on),
            never=exception_names(never),
        )


class Permanent(Exception):
    """Raised by a job whose failure no further attempt can mend."""


class Snooze(msgspec.Struct, frozen=True):
    """Returned by a job: run me again in `seconds`; no attempt is charged."""

    seconds: float


class Cancel(msgspec.Struct, frozen=True):
    """Returned by a job: I need not be done any more."""

    reason: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An exception as text; exceptions are never stored in any other form.

    Attributes:
        kind: the exception's type with its module.
        message: its text, at most 4,000 characters.
        traceback: its frames without any local values, at most 16,000 characters.
    """

    kind: str
    message: str
    traceback: str = ""


# An outcome travels from the process that ran a job to the one that records it: hence the tags.


class Succeeded(msgspec.Struct, tag=True, frozen=True):
    """The function returned; `result` is the encoded value."""

    result: bytes


class Failed(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The attempt failed.

    Attributes:
        reason: what the job's ending is called if this was the last attempt.
        retryable: whether the policy allows another attempt (attempts aside).
        delay: seconds that the job itself asked for, over the policy's.
    """

    failure: Failure
    reason: Reason = Reason.EXHAUSTED
    retryable: bool = True
    delay: float | None = None


class Snoozed(msgspec.Struct, tag=True, frozen=True):
    """The job asked to run again in `seconds`."""

    seconds: float


class Cancelled(msgspec.Struct, tag=True, frozen=True):
    """The job was stopped: by itself (`Reason.CANCELLED_ITSELF`) or by someone."""

    reason: Reason
    detail: str = ""


class Parked(msgspec.Struct, tag=True, frozen=True):
    """This worker cannot run the job, others may; `detail` says why."""

    detail: str


class HandedBack(msgspec.Struct, tag=True, frozen=True):
    """The worker gives the job back unfinished, at no charge."""


class ProcessLost(msgspec.Struct, tag=True, frozen=True):
    """The child process that ran the job died under it; `detail` says how."""

    detail: str


Outcome = Succeeded | Failed | Snoozed | Cancelled | Parked | HandedBack | ProcessLost


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """What a store writes when a delivery ends: `running` under this token, and what comes next.

    Attributes:
        token: the fencing token of the delivery; the write is refused under any other.
        state: the next state.
        delay: seconds until due, where the next state is `scheduled`.
        charge: 1 if the attempt counts, else 0.
        kill: 1 if the delivery killed the process that held it, else 0.
        result: the encoded value of a succeeded job.
        failure: the error of a failed attempt.
        ttl: seconds that the ended job is kept; `None` is: until pruned.
    """

    job_id: str
    queue: str
    token: int
    state: JobState
    reason: Reason
    detail: str = ""
    delay: float = 0.0
    charge: int = 0
    kill: int = 0
    result: bytes | None = None
    failure: Failure | None = None
    ttl: float | None = None


HEADLINE = 300
"""Characters of an error that are kept of each attempt."""

MAX_KILLS = 3
"""After this many deliveries that killed the process holding it, a job fails: it is poison."""


class Settling(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a delivery that decide what its outcome leads to."""

    job_id: str
    queue: str
    token: int
    attempts: int
    deliveries: int
    kills: int
    retry: RetryPolicy
    result_ttl: float


def settle(
    outcome: Outcome,
    facts: Settling,
    uniform: Callable[[float, float], float] = full_jitter,
) -> Ending:
    """The one place where an outcome becomes the job's next state."""

    def ending(state: JobState, reason: Reason, **more: Any) -> Ending:
        return Ending(
            job_id=facts.job_id,
            queue=facts.queue,
            token=facts.token,
            state=state,
            reason=reason,
            **more,
        )

    match outcome:
        case Succeeded(result):
            return ending(JobState.SUCCEEDED, Reason.RETURNED, result=result, ttl=facts.result_ttl)
        case Failed():
            return _settle_failed(outcome, facts, uniform, ending)
        case Snoozed(seconds):
            return ending(JobState.SCHEDULED, Reason.SNOOZED, delay=_bounded(seconds))
        case Cancelled(reason, detail):
            return ending(JobState.CANCELLED, reason, detail=detail, ttl=facts.result_ttl)
        case Parked(detail):
            delay = PARK_DELAYS[min(facts.deliveries, len(PARK_DELAYS)) - 1]
            delay = delay / 2 + uniform(0.0, delay / 2)
            return ending(JobState.SCHEDULED, Reason.PARKED, detail=detail, delay=delay)
        case HandedBack():
            return ending(JobState.QUEUED, Reason.HANDED_BACK)
        case ProcessLost(detail):
            failure = Failure(kind="ferryman.ProcessLost", message=detail)
            if facts.kills + 1 >= MAX_KILLS:
                return ending(
                    JobState.FAILED, Reason.WORKER_LOST, kill=1, failure=failure, detail=detail
                )
            return ending(
                JobState.QUEUED, Reason.LEASE_LOST, kill=1, failure=failure, detail=detail
            )


def _settle_failed(
    outcome: Failed,
    facts: Settling,
    uniform: Callable[[float, float], float],
    ending: Callable[..., Ending],
) -> Ending:
    attempts = facts.attempts + 1
    if not outcome.retryable or attempts >= facts.retry.max_attempts:
        return ending(
            JobState.FAILED,
            outcome.reason,
            detail=headline(outcome.failure),
            charge=1,
            failure=outcome.failure,
        )
    own = outcome.delay
    delay = facts.retry.delay(attempts, uniform) if own is None else _bounded(own)
    state = JobState.SCHEDULED if delay > 0 else JobState.QUEUED
    return ending(
        state,
        Reason.RETRY,
        detail=headline(outcome.failure),
        charge=1,
        delay=delay,
        failure=outcome.failure,
    )


def headline(failure: Failure) -> str:
    """An error on one line, as each attempt's event keeps it: `ValueError: what was wrong`."""
    kind = failure.kind.rpartition(".")[2]
    first = failure.message.strip().partition("\n")[0]
    return f"{kind}: {first}"[:HEADLINE] if first else kind[:HEADLINE]


def _bounded(seconds: float) -> float:
    """What a job asked for, within what a store can write; NaN and what is past are: now."""
    return min(seconds, MAX_DELAY) if seconds > 0 else 0.0
