"""Ferryman: background jobs for Python web applications.

Your database is the truth. Valkey is the speed. Losing Valkey loses nothing.
"""

from ferryman.app import Ferryman
from ferryman.client.context import JobContext, current_job
from ferryman.client.handles import JobHandle
from ferryman.client.resources import INJECT, Resource
from ferryman.client.task import Task
from ferryman.domain.errors import (
    ConfigError,
    FerrymanError,
    IllegalTransition,
    InvalidArguments,
    InvalidName,
    JobCancelled,
    JobExists,
    JobFailed,
    JobNotFound,
    LeaseLost,
    NoCurrentJob,
    PayloadTooLarge,
    StoreError,
    StoreFull,
    StoreUnavailable,
    StoreUnsafe,
    UnknownTask,
    WaitTimeout,
)
from ferryman.domain.job import Job, JobEvent, Progress, QueueInfo
from ferryman.domain.outcomes import Cancel, Failure, Permanent, Retry, Snooze
from ferryman.domain.policy import RetryPolicy
from ferryman.domain.priority import Priority
from ferryman.domain.states import JobState, Reason
from ferryman.masking import Secret

__version__ = "0.1.0"

__all__ = [
    "INJECT",
    "Cancel",
    "ConfigError",
    "Failure",
    "Ferryman",
    "FerrymanError",
    "IllegalTransition",
    "InvalidArguments",
    "InvalidName",
    "Job",
    "JobCancelled",
    "JobContext",
    "JobEvent",
    "JobExists",
    "JobFailed",
    "JobHandle",
    "JobNotFound",
    "JobState",
    "LeaseLost",
    "NoCurrentJob",
    "PayloadTooLarge",
    "Permanent",
    "Priority",
    "Progress",
    "QueueInfo",
    "Reason",
    "Resource",
    "Retry",
    "RetryPolicy",
    "Secret",
    "Snooze",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "StoreUnsafe",
    "Task",
    "UnknownTask",
    "WaitTimeout",
    "__version__",
    "current_job",
]

# Errors are shown, and stored, under the name that users import them by.
for _name in __all__:
    _value = globals()[_name]
    if isinstance(_value, type) and issubclass(_value, BaseException):
        _value.__module__ = __name__
