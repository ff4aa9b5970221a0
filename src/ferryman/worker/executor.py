"""Where a delivery runs: on the loop, in a thread, or in an isolated child."""

import asyncio
import logging
from typing import Any, Protocol

from ferryman.client.client import Client
from ferryman.client.resources import LiveResources
from ferryman.client.task import Task
from ferryman.domain.job import PAYLOAD_VERSION, Delivery
from ferryman.domain.outcomes import MAX_KILLS, Outcome, Parked
from ferryman.worker.attempt import Attempt, Stop
from ferryman.worker.perform import Bound, Call, perform, time_limit
from ferryman.worker.threads import Threads

logger = logging.getLogger("ferryman.worker")


class Isolation(Protocol):
    """Runs a job in a process of its own."""

    async def run(self, attempt: Attempt, task: Task[..., Any]) -> Outcome:
        """The outcome of the delivery, whatever becomes of the process."""
        ...


class Executor:
    """Runs deliveries, each to an outcome.

    Args:
        isolation: `None` where no child process could import the application.
        cancel_grace: seconds that a coroutine or a thread has to end after it was asked to.
    """

    def __init__(
        self,
        client: Client,
        resources: LiveResources,
        threads: Threads,
        isolation: Isolation | None,
        cancel_grace: float,
    ) -> None:
        self._client = client
        self._resources = resources
        self._threads = threads
        self._isolation = isolation
        self._cancel_grace = cancel_grace

    async def execute(self, attempt: Attempt) -> Outcome:
        """Run one delivery. Never raises: a fault of the worker's own parks the job."""
        try:
            return await self._execute(attempt)
        except Exception as error:
            logger.exception("job %s could not be run", attempt.delivery.job_id)
            return Parked(f"the worker failed to run it: {type(error).__name__}: {error}")

    async def _execute(self, attempt: Attempt) -> Outcome:
        delivery = attempt.delivery
        task = self._client.tasks.get(delivery.task)
        if task is None:
            return Parked(f"this worker has no task {delivery.task!r}")
        if delivery.options.version > PAYLOAD_VERSION:
            return Parked(
                f"its payload is of version {delivery.options.version}, and this worker knows "
                f"{PAYLOAD_VERSION}: run a newer release"
            )
        if not attempt.isolated:
            return await self._perform(attempt, task)
        if self._isolation is None:
            return Parked("it needs a child process, and none can import this application")
        return await self._isolation.run(attempt, task)

    async def _perform(self, attempt: Attempt, task: Task[..., Any]) -> Outcome:
        delivery = attempt.delivery
        call = (
            self._call_on_loop(attempt, task)
            if task.is_async
            else self._call_in_thread(attempt, task)
        )
        return await perform(task, delivery, attempt.context, self._resources, call)

    def _call_on_loop(self, attempt: Attempt, task: Task[..., Any]) -> Call:
        async def call(function: Bound) -> Any:
            limit = time_limit(task, attempt.delivery)
            return await call_coroutine(attempt, function, limit, self._cancel_grace)

        return call

    def _call_in_thread(self, attempt: Attempt, task: Task[..., Any]) -> Call:
        def interrupt(why: Stop) -> float | None:
            # It can only look at its context. Its slot comes back when it ends.
            return self._cancel_grace if why is Stop.CANCEL else 0.0

        async def call(function: Bound) -> Any:
            refuse_if_stopped(attempt)
            attempt.in_thread = True
            with attempt.interruptible(interrupt):
                attempt.limit_time(time_limit(task, attempt.delivery))
                return await self._threads.run(function)

        return call


def needs_isolation(task: Task[..., Any], delivery: Delivery) -> bool:
    """Whether a job must run in a child: its task says so, or one more kill would fail it.

    So the last kill of a poison job hits nobody but itself, and a neighbour that was killed with
    one is not failed for it.
    """
    return task.policy.isolation == "process" or delivery.kills >= MAX_KILLS - 1


def refuse_if_stopped(attempt: Attempt) -> None:
    """Do not even begin with a job that was asked to stop while its resources were loaded."""
    if attempt.stop is not None:
        raise asyncio.CancelledError


async def call_coroutine(
    attempt: Attempt,
    function: Bound,
    limit: float | None,
    cancel_grace: float | None,
) -> Any:
    """Await the function's coroutine in this very task, which a request to stop cancels."""
    current = attempt.running or asyncio.current_task()
    assert current is not None  # noqa: S101 - narrows the type

    def interrupt(why: Stop) -> float | None:
        current.cancel()
        return None if why is Stop.HAND_BACK else cancel_grace

    refuse_if_stopped(attempt)
    with attempt.interruptible(interrupt):
        attempt.limit_time(limit)
        return await function()
