"""The running job, as its own code sees it."""

import contextvars
import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from ferryman import codec, masking
from ferryman.client.arguments import Arguments
from ferryman.domain.errors import LeaseLost, NoCurrentJob
from ferryman.domain.job import LINE_LENGTH, Delivery, LogLine, Progress
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.stores import JobStore
from ferryman.stores.base import Verdict

logger = logging.getLogger("ferryman.job")

_current: Final[contextvars.ContextVar["JobContext"]] = contextvars.ContextVar("ferryman_job")


class Reporter(Protocol):
    """Where a running job's reports go: the worker's buffer, or the pipe of a child process."""

    def report(
        self,
        delivery: Delivery,
        progress: Progress | None,
        checkpoint: bytes | None,
        lines: tuple[LogLine, ...] = (),
    ) -> None:
        """Take a report without waiting; safe in any thread.

        The latest progress and the latest checkpoint win; lines are added to those before.
        """
        ...


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records carry the job's id, task and attempt.

    What it is told from INFO on is also kept with the job, whatever the worker's own level is.
    """

    def __init__(
        self,
        extra: dict[str, object],
        keep: Callable[[LogLine], None],
        hide: Callable[[str], str] = str,
    ) -> None:
        super().__init__(logger, extra)
        self._keep = keep
        self._hide = hide

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name of `logging`
        """Whether a record of this level goes anywhere."""
        return level >= logging.INFO or super().isEnabledFor(level)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log with the job's fields, and keep the line."""
        if self.isEnabledFor(level):
            text = self._hide(_text(level, msg, args, kwargs.get("exc_info")))
            # Cut when it is hidden: half a secret is not known as one.
            self._keep(LogLine(logging.getLevelName(level).lower(), text[:LINE_LENGTH]))
        if super().isEnabledFor(level):
            # Else the record would name this method as its caller.
            kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
            super().log(level, msg, *args, **kwargs)


def _text(level: int, msg: object, args: tuple[object, ...], exc_info: object) -> str:
    try:
        text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
    except (TypeError, ValueError, KeyError):
        text = str(msg)  # the logger complains about it; the job goes on
    error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
    if exc_info and error is not None:
        text += f": {type(error).__name__}: {error}"
    return text


class Completion(NamedTuple):
    """What it takes to complete a job in a transaction of its own code.

    Attributes:
        store: gives a store that need not be open.
        result_ttl: seconds that the job is kept with its result.
    """

    store: Callable[[], JobStore]
    result_ttl: float


class JobContext:
    """What a running job knows about itself, and what it may tell.

    Attributes:
        token: its fencing token. It grows with every delivery of the job: make the job's own
            writes conditional on it, and a delivery that lost its lease cannot overwrite.
        attempt: 1 for the first try; hand-backs and snoozes do not count.
        log: a logger whose records carry the job's id, task and attempt. The latest lines from
            INFO on are kept with the job, for whoever looks at it.
    """

    def __init__(
        self,
        delivery: Delivery,
        reporter: Reporter,
        completion: Completion | None = None,
        signature: codec.Signature | None = None,
    ) -> None:
        self._delivery = delivery
        self._arguments = Arguments(signature, delivery.args)
        self._completion = completion
        self._reporter = reporter
        self._cancelled = False
        self._checkpoint = delivery.checkpoint
        self.id = delivery.job_id
        self.task = delivery.task
        self.queue = delivery.queue
        self.user = delivery.user
        self.token = delivery.token
        self.attempt = delivery.attempts + 1
        self.deliveries = delivery.deliveries

    @functools.cached_property
    def log(self) -> JobLog:
        """A logger whose records carry the job's id, task and attempt, and are kept with it."""
        fields = {"job_id": self.id, "task": self.task, "attempt": self.attempt}
        return JobLog(fields, self._keep, self.hide)

    def _keep(self, line: LogLine) -> None:
        self._reporter.report(self._delivery, None, None, (line,))

    def progress(self, current: float, total: float | None = None, message: str = "") -> None:
        """Tell how far the job is: `current` of `total` (any unit), and a line of text.

        Cheap in a tight loop: it never waits, and of many reports the last one is kept.
        """
        progress = Progress(current, total, message and self.hide(message))
        self._reporter.report(self._delivery, progress, None)

    @property
    def cancelled(self) -> bool:
        """Whether someone asked this job to stop, or its time is over; look at it in long loops."""
        return self._cancelled

    @property
    def checkpoint(self) -> Any:
        """What an earlier delivery of this job, or this one, last saved; `None` if nothing."""
        return codec.decode_result(self._checkpoint)

    def save(self, checkpoint: Any) -> None:
        """Keep `checkpoint` (any JSON value up to 1 MiB) for the next delivery of this job.

        Raises:
            InvalidArguments: it cannot be stored as JSON.
        """
        self._checkpoint = codec.encode_result(checkpoint)
        self._reporter.report(self._delivery, None, self._checkpoint)

    def complete(self, session: Any, result: Any = None) -> None:
        """Complete this job in your own transaction: it succeeds when the transaction commits.

        So the job's writes and its end take effect together or not at all. What the function
        returns after the commit does not count any more; after a rollback it does.

        Args:
            session: your SQLAlchemy session or connection, or a connection of the driver, on the
                database that holds the jobs.
            result: the job's result (any JSON value up to 1 MiB).

        Raises:
            LeaseLost: this delivery holds the job no longer. Let it roll the transaction back.
            ConfigError: the jobs are not in a database, or in another one.
        """
        if self._completion is not None:
            verdicts = self._completion.store().finish_in(session, [self._ending(result)])
            self._require_applied(verdicts)

    async def acomplete(self, session: Any, result: Any = None) -> None:
        """`complete` with an asynchronous session or connection."""
        if self._completion is not None:
            store = self._completion.store()
            self._require_applied(await store.afinish_in(session, [self._ending(result)]))

    def _ending(self, result: Any) -> Ending:
        ttl = None if self._completion is None else self._completion.result_ttl
        return Ending(
            job_id=self.id,
            queue=self.queue,
            token=self.token,
            state=JobState.SUCCEEDED,
            reason=Reason.RETURNED,
            result=codec.encode_result(result),
            ttl=ttl,
        )

    def _require_applied(self, verdicts: list[Verdict]) -> None:
        if verdicts != [Verdict.APPLIED]:
            raise LeaseLost(
                f"this delivery of job {self.id} holds it no longer (token {self.token}), so it "
                "cannot complete it: roll back, the job runs elsewhere or has ended"
            )

    def hide(self, text: str) -> str:
        """`text` without the secrets among the job's arguments; the worker calls it too.

        What is kept of a job's words is written so. Later these arguments may not be known any
        more: a retry may bring others.
        """
        return masking.hide(text, self._arguments.secrets)

    def request_cancel(self) -> None:
        """Set `cancelled`; called by the worker."""
        self._cancelled = True


def current_job() -> JobContext:
    """The job that runs the calling code.

    Raises:
        NoCurrentJob: no job does.
    """
    try:
        return _current.get()
    except LookupError:
        raise NoCurrentJob("current_job() works only in code that a worker runs as a job") from None


def enter_job(context: JobContext) -> contextvars.Token["JobContext"]:
    """Make `context` the current job of this thread or task; called by the worker."""
    return _current.set(context)
