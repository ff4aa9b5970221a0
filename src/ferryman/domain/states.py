"""The states of a job and the one table of the transitions that are legal."""

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a job is in its life."""

    SCHEDULED = "scheduled"
    """Due later: a delay, a retry's back-off, a snooze, or parked until another worker knows it."""
    WAITING = "waiting"
    """Held back by a dependency or an admission limit; it becomes queued when admitted."""
    QUEUED = "queued"
    """Due now; the next free worker of its queue takes it."""
    RUNNING = "running"
    """Claimed by a worker that holds a lease; only the holder of its fencing token may end it."""
    SUCCEEDED = "succeeded"
    """Terminal: the function returned, and its result is kept."""
    FAILED = "failed"
    """Terminal: a dead letter, kept until someone retries or discards it."""
    CANCELLED = "cancelled"
    """Terminal: someone, or the job itself, asked that it should not go on."""

    @property
    def terminal(self) -> bool:
        """Whether a job in this state has ended."""
        return self in TERMINAL


class Reason(StrEnum):
    """Why a job is in the state it is in; every ending carries one."""

    RETURNED = "returned"
    """The function returned a value."""
    EXHAUSTED = "exhausted"
    """The last allowed attempt failed."""
    PERMANENT = "permanent"
    """The job raised `Permanent`, or an exception that its policy does not retry."""
    TIMEOUT = "timeout"
    """The last allowed attempt ran longer than its time-out."""
    MEMORY_LIMIT = "memory_limit"
    """The last allowed attempt used more memory than its limit."""
    EXPIRED = "expired"
    """Its `expires_in` passed before it could start."""
    WORKER_LOST = "worker_lost"
    """Three deliveries ended with the death of the process that held the job (a poison job)."""
    INVALID_ARGUMENTS = "invalid_arguments"
    """The stored arguments do not fit the function's annotations."""
    UNKNOWN_RESULT = "unknown_result"
    """The function returned something that cannot be stored as JSON, or that is too large."""
    DEPENDENCY_FAILED = "dependency_failed"
    """A job that it waited for did not succeed."""
    CANCELLED_BY = "cancelled_by"
    """Someone cancelled it; `detail` says who."""
    CANCELLED_ITSELF = "cancelled_itself"
    """The job returned `Cancel`."""
    RETRY = "retry"
    """An attempt failed; the next one is due after the back-off."""
    SNOOZED = "snoozed"
    """The job asked to be run again later; no attempt was charged."""
    PARKED = "parked"
    """This worker does not know the task, or the payload is newer than it; others may."""
    HANDED_BACK = "handed_back"
    """The worker shut down, or gave up its slot, before the job ended; no attempt was charged."""
    LEASE_LOST = "lease_lost"
    """The process that ran it died, or its lease ended; the job starts elsewhere."""
    SUBMITTED = "submitted"
    """The job came into being."""
    DUE = "due"
    """Its time came."""
    ADMITTED = "admitted"
    """What it waited for is there."""
    CLAIMED = "claimed"
    """A worker took it."""
    RETRIED = "retried"
    """Someone sent an ended job back to its queue."""


TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

_S = JobState

TRANSITIONS: Final[dict[tuple[JobState | None, JobState], str]] = {
    (None, _S.QUEUED): "submit",
    (None, _S.SCHEDULED): "submit with a delay",
    (None, _S.WAITING): "submit held",
    (_S.SCHEDULED, _S.QUEUED): "due",
    (_S.SCHEDULED, _S.FAILED): "expired",
    (_S.SCHEDULED, _S.CANCELLED): "cancel",
    (_S.WAITING, _S.QUEUED): "admitted",
    (_S.WAITING, _S.FAILED): "expired, dependency failed",
    (_S.WAITING, _S.CANCELLED): "cancel",
    (_S.QUEUED, _S.RUNNING): "claim",
    (_S.QUEUED, _S.FAILED): "expired",
    (_S.QUEUED, _S.CANCELLED): "cancel",
    (_S.RUNNING, _S.SUCCEEDED): "finish",
    (_S.RUNNING, _S.FAILED): "attempts exhausted, permanent, poison",
    (_S.RUNNING, _S.CANCELLED): "cancel",
    (_S.RUNNING, _S.SCHEDULED): "retry, snooze, park",
    (_S.RUNNING, _S.QUEUED): "hand back, lease lost, immediate retry",
    (_S.FAILED, _S.QUEUED): "retry by hand",
    (_S.CANCELLED, _S.QUEUED): "retry by hand",
}
"""Every legal (from, to) pair and what causes it. `None` is: not yet there."""


def legal(source: JobState | None, target: JobState) -> bool:
    """Whether a job may go from `source` to `target`."""
    return (source, target) in TRANSITIONS


def diagram() -> str:
    """The transition table as a Mermaid state diagram; the documentation holds this very text."""
    lines = ["stateDiagram-v2"]
    for (source, target), cause in TRANSITIONS.items():
        lines.append(f"    {source or '[*]'} --> {target}: {cause}")
    lines += [f"    {state} --> [*]" for state in JobState if state.terminal]
    return "\n".join(lines)
