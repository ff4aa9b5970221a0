"""Everything that Ferryman raises.

FerrymanError
├── ConfigError                settings that contradict each other or cannot be used
├── InvalidArguments           arguments that do not fit the task, or cannot be stored
│   └── PayloadTooLarge        over 1 MiB, as arguments or as result
├── InvalidName                an id, queue or task name outside the allowed pattern
├── UnknownTask                no task of that name in this application
├── JobNotFound                no job with that id in the store
├── JobExists                  a live job holds the same unique key (`job_id` says which)
├── IllegalTransition          the job's state does not allow what was asked
├── JobFailed                  `result()` of a job that failed (`job` holds the details)
├── JobCancelled               `result()` of a job that was cancelled
├── WaitTimeout                the job had not ended when the waiting time was over
├── NoCurrentJob               `current_job()` outside of a running job
├── LeaseLost                  this worker's lease ended; its jobs belong to others now
└── StoreError                 the store could not do what was asked
    ├── StoreUnavailable       not reachable, or the connection broke in the middle
    ├── StoreFull              the server is at its memory limit and refuses new jobs
    └── StoreUnsafe            a server setting breaks a promise (it evicts keys, an old version, …)

What a running job raises or returns to end itself (`Retry`, `Permanent`, `Snooze`, `Cancel`)
is control flow, not an error of Ferryman, and lives in `ferryman.domain.outcomes`.
"""

from typing import Any


class FerrymanError(Exception):
    """The base of every error that Ferryman raises."""


class ConfigError(FerrymanError):
    """The settings contradict each other or cannot be used; the message names the setting."""


class InvalidArguments(FerrymanError, ValueError):
    """The arguments do not fit the task's annotations, or cannot be stored as JSON."""


class PayloadTooLarge(InvalidArguments):
    """The encoded arguments or the encoded result exceed their limit of 1 MiB."""


class InvalidName(FerrymanError, ValueError):
    """A job id, queue, task, tag or key is outside of the pattern that is allowed."""


class UnknownTask(FerrymanError, LookupError):
    """No task of that name is registered with this application."""


class JobNotFound(FerrymanError, LookupError):
    """The store holds no job with that id; it may have been pruned or discarded."""


class JobExists(FerrymanError):
    """A live job holds the same unique key."""

    def __init__(self, message: str, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class IllegalTransition(FerrymanError):
    """The job's present state does not allow what was asked of it."""


class JobFailed(FerrymanError):
    """The job whose result was asked for has failed; `job` is its record."""

    def __init__(self, message: str, job: Any) -> None:
        super().__init__(message)
        self.job = job


class JobCancelled(FerrymanError):
    """The job whose result was asked for was cancelled; `job` is its record."""

    def __init__(self, message: str, job: Any) -> None:
        super().__init__(message)
        self.job = job


class WaitTimeout(FerrymanError, TimeoutError):
    """The job had not ended when the waiting time was over; it goes on."""


class NoCurrentJob(FerrymanError, RuntimeError):
    """`current_job()` was called outside of a running job."""


class LeaseLost(FerrymanError):
    """The worker's lease ended before it was renewed; its jobs may run elsewhere already."""


class StoreError(FerrymanError):
    """The store could not do what was asked of it."""


class StoreUnavailable(StoreError):
    """The store's server cannot be reached, or the connection broke in the middle of a call."""


class StoreFull(StoreError):
    """The server is at its memory limit; no new job was taken. Running jobs go on."""


class StoreUnsafe(StoreError):
    """A setting of the server breaks a promise; the message says how to mend it."""
