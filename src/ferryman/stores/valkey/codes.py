"""The small numbers that stand for states, reasons and answers in records and scripts.

States and reasons are stored: a number that was once given keeps its meaning for ever.
A script writes `STATE.queued`, `REASON.due` or `CODE.applied`; the loader puts the numbers in.
"""

from enum import IntEnum
from typing import Final

from ferryman.domain.states import TERMINAL, JobState, Reason
from ferryman.stores.base import Verdict

STATES: Final = {
    JobState.SCHEDULED: 1,
    JobState.WAITING: 2,
    JobState.QUEUED: 3,
    JobState.RUNNING: 4,
    JobState.SUCCEEDED: 5,
    JobState.FAILED: 6,
    JobState.CANCELLED: 7,
}
STATE_OF: Final = {number: state for state, number in STATES.items()}

REASONS: Final = {
    Reason.SUBMITTED: 1,
    Reason.DUE: 2,
    Reason.ADMITTED: 3,
    Reason.CLAIMED: 4,
    Reason.RETURNED: 5,
    Reason.EXHAUSTED: 6,
    Reason.PERMANENT: 7,
    Reason.TIMEOUT: 8,
    Reason.MEMORY_LIMIT: 9,
    Reason.EXPIRED: 10,
    Reason.WORKER_LOST: 11,
    Reason.INVALID_ARGUMENTS: 12,
    Reason.UNKNOWN_RESULT: 13,
    Reason.DEPENDENCY_FAILED: 14,
    Reason.CANCELLED_BY: 15,
    Reason.CANCELLED_ITSELF: 16,
    Reason.RETRY: 17,
    Reason.SNOOZED: 18,
    Reason.PARKED: 19,
    Reason.HANDED_BACK: 20,
    Reason.LEASE_LOST: 21,
    Reason.RETRIED: 22,
}
REASON_OF: Final = {number: reason for reason, number in REASONS.items()}


class Code(IntEnum):
    """What a script answers; the first five are the verdicts of the protocol."""

    APPLIED = 1
    STALE = 2
    MISSING = 3
    CONFLICT = 4
    REQUESTED = 5
    CREATED = 6
    """Submit: a new job."""
    PRESENT = 7
    """Submit: this id was there already."""
    RETURNED = 8
    """Submit: a live job holds the unique key, and is given back."""
    REFUSED = 9
    """Submit: a live job holds the unique key; nothing after this job was looked at."""
    UNKNOWN_QUEUE = 10
    """The queue has never been announced, so it holds nothing; nothing was changed."""
    NO_LEASE = 11
    """The queue does not know this worker; it may still have a lease elsewhere."""
    LEASE_LOST = 12
    """The worker's lease is over."""


VERDICTS: Final = {
    Code.APPLIED: Verdict.APPLIED,
    Code.STALE: Verdict.STALE,
    Code.MISSING: Verdict.MISSING,
    Code.CONFLICT: Verdict.CONFLICT,
    Code.REQUESTED: Verdict.REQUESTED,
}


def _lua_constants() -> dict[str, int]:
    values = {f"STATE.{state.name.lower()}": number for state, number in STATES.items()}
    values["STATE.none"] = 0
    values["STATE.first_terminal"] = min(STATES[state] for state in TERMINAL)
    values |= {f"REASON.{reason.name.lower()}": number for reason, number in REASONS.items()}
    return values | {f"CODE.{code.name.lower()}": code.value for code in Code}


LUA_CONSTANTS: Final = _lua_constants()
"""What the loader replaces in a script."""
