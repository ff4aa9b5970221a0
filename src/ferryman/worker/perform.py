"""One run of a task's function, wherever that happens: decode, inject, call, judge."""

from collections.abc import Awaitable, Callable
from typing import Any

from ferryman import codec
from ferryman.client.context import JobContext, enter_job
from ferryman.client.resources import LiveResources
from ferryman.client.task import Task
from ferryman.domain.errors import InvalidArguments
from ferryman.domain.job import Delivery
from ferryman.domain.outcomes import (
    Cancel,
    Cancelled,
    Failed,
    Outcome,
    Permanent,
    Retry,
    Snooze,
    Snoozed,
    Succeeded,
)
from ferryman.domain.policy import MAX_DELAY, RetryPolicy
from ferryman.domain.states import Reason
from ferryman.worker.failures import describe

Bound = Callable[[], Any]
"""A function with all its arguments bound."""

Call = Callable[[Bound], Awaitable[Any]]
"""Calls one: here, on the loop, or in a thread."""

Hide = Callable[[str], str]
"""Takes the job's secrets out of a text."""


def retry_policy(task: Task[..., Any], delivery: Delivery) -> RetryPolicy:
    """The job's own policy, or else its task's."""
    return delivery.options.retry or task.policy.retry


def time_limit(task: Task[..., Any], delivery: Delivery) -> float | None:
    """The job's own time-out, or else its task's; 0 and `None` are: no limit."""
    own = delivery.options.timeout
    return task.policy.timeout if own is None else own


async def perform(
    task: Task[..., Any],
    delivery: Delivery,
    context: JobContext,
    resources: LiveResources,
    call: Call,
) -> Outcome:
    """Run the task's function once. Whatever the function does, this returns an outcome."""
    enter_job(context)
    try:
        function = await _bind(task, delivery, context, resources)
    except InvalidArguments as error:
        failure = describe(error, context.hide)
        return Failed(failure=failure, reason=Reason.INVALID_ARGUMENTS, retryable=False)
    except BaseException as error:
        return judge_error(error, retry_policy(task, delivery), context.hide)
    try:
        value = await call(function)
    except BaseException as error:
        # SystemExit and KeyboardInterrupt too: a job must not end the worker.
        return judge_error(error, retry_policy(task, delivery), context.hide)
    return judge_value(value, context.hide)


async def _bind(
    task: Task[..., Any], delivery: Delivery, context: JobContext, resources: LiveResources
) -> Bound:
    function, signature = task.function, task.signature
    if function is None or signature is None:
        raise InvalidArguments(f"the code of {task.name!r} is not in this process")
    args, kwargs = signature.decode(delivery.args)
    injected: dict[str, Any] = {}
    if task.context_parameter is not None:
        injected[task.context_parameter] = context
    for name, resource in task.resources.items():
        injected[name] = await resources.get(resource)
    if injected:
        args, kwargs = signature.fill(args, kwargs, injected)
    return lambda: function(*args, **kwargs)


def judge_value(value: Any, hide: Hide) -> Outcome:
    """What a returned value means."""
    match value:
        case Snooze(seconds):
            return Snoozed(_delay(seconds))
        case Cancel(reason):
            return Cancelled(Reason.CANCELLED_ITSELF, hide(reason))
    try:
        return Succeeded(codec.encode_result(value))
    except InvalidArguments as error:
        failure = describe(error, hide)
        return Failed(failure=failure, reason=Reason.UNKNOWN_RESULT, retryable=False)


def judge_error(error: BaseException, policy: RetryPolicy, hide: Hide) -> Outcome:
    """What a raised exception means."""
    failure = describe(error, hide)
    match error:
        case Retry():
            asked = None if error.delay is None else _delay(error.delay)
            return Failed(failure=failure, delay=asked)
        case Permanent():
            return Failed(failure=failure, reason=Reason.PERMANENT, retryable=False)
        case _ if policy.retries(error):
            return Failed(failure=failure)
        case _:
            return Failed(failure=failure, reason=Reason.PERMANENT, retryable=False)


def _delay(seconds: float) -> float:
    """A delay that a store can keep; not-a-number is none at all."""
    return min(MAX_DELAY, max(0.0, seconds))
