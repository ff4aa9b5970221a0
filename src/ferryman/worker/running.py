"""The jobs that run here: from a delivery to an attempt, and from its outcome to an ending."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from ferryman.client.client import Client
from ferryman.client.context import JobContext, Reporter
from ferryman.domain.job import Delivery
from ferryman.domain.outcomes import Ending, Outcome, Settling, settle
from ferryman.domain.policy import TaskPolicy
from ferryman.stores.base import Verdict
from ferryman.worker import joblog
from ferryman.worker.attempt import Attempt, Stop
from ferryman.worker.executor import Executor, needs_isolation


class Host(Protocol):
    """Who must know which jobs run in children, and not in the worker's own process."""

    def child_began(self, job_id: str) -> None:
        """This job is for a child: the death of the worker would not be its doing."""
        ...

    def child_ended(self, job_id: str) -> None:
        """What it came to is written."""
        ...

    def claimed(self) -> None:
        """A claim was answered, with jobs or without."""
        ...


class Ended(NamedTuple):
    """An attempt that came to its outcome, and what is to be written of it."""

    attempt: Attempt
    ending: Ending


class RunningJobs:
    """All attempts whose code has not ended, and all endings that are not written yet.

    Args:
        changed: called when an attempt came to its outcome, and when its slot is free.

    Attributes:
        ended: what is to be written, in the order in which the attempts ended.
        started: how many attempts there have been.
    """

    def __init__(
        self,
        client: Client,
        executor: Executor,
        reporter: Reporter,
        host: Host,
        changed: Callable[[], None],
    ) -> None:
        self._client = client
        self._executor = executor
        self._reporter = reporter
        self._host = host
        self._changed = changed
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._unfinished = 0
        self.ended: list[Ended] = []
        self.started = 0

    @property
    def slots(self) -> int:
        """How many slots are taken. Code that outlives its outcome keeps one."""
        return len(self._attempts)

    @property
    def unfinished(self) -> list[Attempt]:
        """The attempts without an outcome."""
        return [attempt for attempt in self._attempts.values() if attempt.outcome is None]

    @property
    def running(self) -> bool:
        """Whether an attempt has no outcome yet."""
        return self._unfinished > 0

    @property
    def busy(self) -> bool:
        """Whether an attempt has no outcome yet, or an outcome is not taken to be written yet."""
        return self.running or bool(self.ended)

    def held(self) -> set[str]:
        """The ids of the jobs that are in this worker's hands, but for what was taken."""
        held = {attempt.delivery.job_id for attempt in self.unfinished}
        return held | {ended.ending.job_id for ended in self.ended}

    def start(self, deliveries: Iterable[Delivery]) -> None:
        """Begin with what was claimed; each runs in a task of its own, once this one waits."""
        for delivery in deliveries:
            attempt = self._attempt(delivery)
            joblog.began(delivery)
            attempt.running = asyncio.create_task(self._run(attempt))

    def take(self, most: int) -> list[Ended]:
        """What is to be written next; then call `written`, or `put_back` if it could not be."""
        taken, self.ended = self.ended[:most], self.ended[most:]
        return taken

    def put_back(self, taken: list[Ended]) -> None:
        """It is not sure whether this was written."""
        self.ended = taken + self.ended

    def written(self, taken: Iterable[Ended], verdicts: Sequence[Verdict]) -> None:
        """The store has said what became of this."""
        for (attempt, _), verdict in zip(taken, verdicts, strict=True):
            if attempt.isolated:
                self._host.child_ended(attempt.delivery.job_id)
            if verdict is not Verdict.APPLIED:
                joblog.refused(attempt, verdict)

    def cancel(self, jobs: Iterable[tuple[str, int]]) -> None:
        """Ask these (id, token) to stop, where they run here."""
        for key in jobs:
            attempt = self._attempts.get(key)
            if attempt is not None:
                attempt.request(Stop.CANCEL)

    def hand_back(self) -> None:
        """Stop whatever can be stopped, to be handed back."""
        for attempt in self.unfinished:
            attempt.request(Stop.HAND_BACK)

    def _attempt(self, delivery: Delivery) -> Attempt:
        task = self._client.tasks.get(delivery.task)
        policy = task.policy if task else TaskPolicy()
        completion = self._client.completion(delivery)
        signature = task.signature if task else None
        context = JobContext(delivery, self._reporter, completion, signature)
        attempt = Attempt(delivery, context, delivery.options.retry or policy.retry, self._conclude)
        self._attempts[delivery.job_id, delivery.token] = attempt
        self._unfinished += 1
        self.started += 1
        if task is not None and needs_isolation(task, delivery):
            # Said before any job of the same claim runs: one of them may kill this process.
            attempt.isolated = True
            self._host.child_began(delivery.job_id)
        return attempt

    async def _run(self, attempt: Attempt) -> None:
        attempt.conclude(await self._executor.execute(attempt))
        del self._attempts[attempt.delivery.job_id, attempt.delivery.token]
        self._changed()

    def _conclude(self, attempt: Attempt, outcome: Outcome) -> None:
        ending = settle(outcome, self._facts(attempt))
        self._unfinished -= 1
        self.ended.append(Ended(attempt, ending))
        joblog.ended(attempt, ending)
        self._changed()

    def _facts(self, attempt: Attempt) -> Settling:
        delivery = attempt.delivery
        task = self._client.tasks.get(delivery.task)
        policy, own_ttl = task.policy if task else TaskPolicy(), delivery.options.result_ttl
        return Settling(
            job_id=delivery.job_id,
            queue=delivery.queue,
            token=delivery.token,
            attempts=delivery.attempts,
            deliveries=delivery.deliveries,
            kills=delivery.kills,
            retry=attempt.policy,
            result_ttl=policy.result_ttl if own_ttl is None else own_ttl,
        )
