"""One delivery that runs here: how it is stopped, and the one outcome that it comes to."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any

from ferryman.client.context import JobContext
from ferryman.domain.job import Delivery
from ferryman.domain.outcomes import (
    Cancelled,
    Failed,
    Failure,
    HandedBack,
    Outcome,
    Snoozed,
    Succeeded,
)
from ferryman.domain.policy import RetryPolicy
from ferryman.domain.states import Reason

PRESS_AGAIN = 1.0
"""Seconds at least between two cancellations of a coroutine that swallows them."""


class Stop(Enum):
    """Why a job is stopped before it has ended by itself."""

    CANCEL = auto()
    """Someone asked for it."""
    TIMEOUT = auto()
    """It ran longer than it may."""
    MEMORY = auto()
    """It used more memory than it may."""
    HAND_BACK = auto()
    """The worker leaves."""


Interrupt = Callable[[Stop], float | None]
"""Begins to stop the code that runs. Returns the seconds after which the attempt is over even if
the code goes on; `None` is: it is over when the code has ended."""


class Attempt:
    """One delivery, from its start until its code has ended.

    Attributes:
        stop: why it is being stopped, if it is.
        outcome: how it went; set once, and possibly while the code still runs.
        running: the task that runs it.
        began: when it was claimed, by the monotonic clock.
        isolated: it runs in a child process.
        in_thread: it runs in a thread, which nothing can stop.
    """

    def __init__(
        self,
        delivery: Delivery,
        context: JobContext,
        policy: RetryPolicy,
        conclude: "Callable[[Attempt, Outcome], None]",
    ) -> None:
        self.delivery = delivery
        self.context = context
        self.stop: Stop | None = None
        self.outcome: Outcome | None = None
        self.running: asyncio.Task[None] | None = None
        self.began = time.monotonic()
        self.policy = policy
        self.isolated = False
        self.in_thread = False
        self._conclude = conclude
        self._interrupt: Interrupt | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._explanation = ""

    def request(self, why: Stop, explanation: str = "") -> None:
        """Stop the job; the first reason counts.

        Args:
            explanation: what went over which limit, for the failure's message.
        """
        if self.outcome is not None or (why is Stop.HAND_BACK and self.in_thread):
            return
        if self.stop is None:
            self.stop, self._explanation = why, explanation
            self._press(why)
        elif why is Stop.HAND_BACK:
            self._press(why)

    @contextlib.contextmanager
    def interruptible(self, interrupt: Interrupt) -> Iterator[None]:
        """While this lasts, a request to stop calls `interrupt`."""
        self._interrupt = interrupt
        try:
            yield
        finally:
            self._interrupt = None
            while self._timers:
                self._timers.pop().cancel()

    def limit_time(self, seconds: float | None) -> None:
        """Count the time-out from now."""
        if seconds:
            explanation = f"it ran longer than its time-out of {seconds:g} s"
            self._later(seconds, self.request, Stop.TIMEOUT, explanation)

    def conclude(self, outcome: Outcome) -> None:
        """Take what the code came to, unless the attempt was over before."""
        if self.outcome is None:
            self.outcome = self.judge(outcome)
            self._conclude(self, self.outcome)

    def judge(self, outcome: Outcome) -> Outcome:
        """What counts, when the code came to `outcome` and was asked to stop."""
        match self.stop:
            case None:
                return outcome
            case Stop.CANCEL:
                ended = isinstance(outcome, Succeeded | Snoozed | Cancelled)
                return outcome if ended else Cancelled(Reason.CANCELLED_BY)
            case Stop.TIMEOUT:
                return self._over_limit(TimeoutError, Reason.TIMEOUT)
            case Stop.MEMORY:
                return self._over_limit(MemoryError, Reason.MEMORY_LIMIT)
            case Stop.HAND_BACK:
                return HandedBack()

    def _over_limit(self, kind: type[Exception], reason: Reason) -> Failed:
        failure = Failure(kind=kind.__name__, message=self._explanation)
        return Failed(failure=failure, reason=reason, retryable=self.policy.retries(kind()))

    def _press(self, why: Stop) -> None:
        if self._interrupt is None:
            return
        if why is not Stop.HAND_BACK:
            self.context.request_cancel()
        patience = self._interrupt(why)
        if patience is not None:
            self._later(patience, self._give_up, max(patience, PRESS_AGAIN))

    def _give_up(self, again: float) -> None:
        """The code goes on, and keeps its slot; what it comes to does not count any more."""
        self.conclude(HandedBack())
        if self._interrupt is not None and self.stop is not None:
            self._interrupt(self.stop)
            self._later(again, self._give_up, again)

    def _later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(seconds, call, *args))
