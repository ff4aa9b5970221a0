"""One job run in this very process, without any store: to try a task, and to debug it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from ferryman.client.client import Client
from ferryman.client.context import JobContext, Reporter
from ferryman.client.portal import new_event_loop
from ferryman.client.resources import LiveResources
from ferryman.client.task import Task
from ferryman.domain.job import Delivery, NewJob
from ferryman.domain.outcomes import Ending, Outcome, Settling, settle
from ferryman.worker.perform import Call, perform, retry_policy
from ferryman.worker.threads import Threads


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How it went.

    Attributes:
        ending: what a worker would write for it; its delay is the longest that it may be.
        max_attempts: how many tries the job's policy allows.
        duration: seconds, with the set-up of resources.
    """

    outcome: Outcome
    ending: Ending
    max_attempts: int
    duration: float


def run_trial(client: Client, job: NewJob, reporter: Reporter) -> Trial:
    """Run a job once, as its first attempt.

    Time-out, memory limit and isolation do not count here: they would end a debugger's session.

    Raises:
        UnknownTask: the client has no task of that name.
    """
    task = client.lookup(job.task)
    delivery = Delivery(
        job_id=job.id,
        task=job.task,
        queue=job.queue,
        token=1,
        args=job.args,
        options=job.options,
        attempts=0,
        deliveries=1,
        kills=0,
        user=job.user,
    )
    began = time.monotonic()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        outcome = runner.run(_run(task, delivery, reporter))
    return Trial(
        outcome=outcome,
        ending=settle(outcome, _facts(task, delivery), uniform=lambda _, longest: longest),
        max_attempts=retry_policy(task, delivery).max_attempts,
        duration=time.monotonic() - began,
    )


async def _run(task: Task[..., Any], delivery: Delivery, reporter: Reporter) -> Outcome:
    resources = LiveResources(in_thread=task.policy.isolation is None)
    try:
        context = JobContext(delivery, reporter, signature=task.signature)
        return await perform(task, delivery, context, resources, _caller(task))
    finally:
        await resources.close()


def _caller(task: Task[..., Any]) -> Call:
    """Calls the function where a worker would: on the loop, in a thread, on the main thread."""

    async def call(function: Callable[[], Any]) -> Any:
        if task.is_async:
            return await function()
        return function() if task.policy.isolation else await Threads().run(function)

    return call


def _facts(task: Task[..., Any], delivery: Delivery) -> Settling:
    return Settling(
        job_id=delivery.job_id,
        queue=delivery.queue,
        token=delivery.token,
        attempts=0,
        deliveries=1,
        kills=0,
        retry=retry_policy(task, delivery),
        result_ttl=task.policy.result_ttl,
    )
