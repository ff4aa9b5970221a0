"""What is worth knowing about a job: in a line of a list, and why it does not run."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from ferryman.domain.job import QueueInfo, WorkerStatus
from ferryman.domain.outcomes import headline
from ferryman.domain.states import JobState, Reason
from ferryman.http.dashboard.phrases import counted, distance, sentence, span
from ferryman.http.views import JobSummary

SHORT: Final = 8
"""Characters of a worker's id that people see."""


def short(error: str) -> str:
    """An error's type without its module, or a reason in words."""
    return sentence(error.rpartition(".")[2])


def note(job: JobSummary, now: datetime) -> str:
    """A job in a few words, besides its state."""
    match job.state:
        case JobState.SCHEDULED:
            why = "" if job.reason is Reason.SUBMITTED else f", {sentence(job.reason)}"
            return f"due {distance(job.due_at, now)}{why}"
        case JobState.RUNNING if job.cancel_requested:
            return "asked to stop"
        case JobState.FAILED if job.failure is not None:
            return headline(job.failure)
        case JobState.FAILED | JobState.CANCELLED:
            words = sentence(job.reason)
            return f"{words}: {job.detail}" if job.detail else words
        case JobState.SUCCEEDED:
            return ""
        case _:
            return f"after {counted(job.attempts, 'failed attempt')}" if job.attempts else ""


def took(job: JobSummary, now: datetime) -> str:
    """How long its latest delivery ran, or has run by now."""
    if job.started_at is None or job.state not in (*ENDED, JobState.RUNNING):
        return ""
    return span(((job.finished_at or now) - job.started_at).total_seconds())


ENDED: Final = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Standstill:
    """Why a job that could run does not.

    Args:
        queues, workers: `None` for whoever may not know of those of others.
        tries: how many attempts the job has, where that is known.
    """

    def __init__(
        self,
        job: JobSummary,
        now: datetime,
        queues: Sequence[QueueInfo] | None,
        workers: Sequence[WorkerStatus] | None,
        tries: int | None,
    ) -> None:
        self._job = job
        self._now = now
        self._queue = next((one for one in queues or () if one.name == job.queue), None)
        self._all = workers
        serving = [one for one in workers or () if one.live and job.queue in one.info.queues]
        self._workers = serving
        self._tries = tries

    def explain(self) -> tuple[str, str, str] | None:
        """What is so, what it means, and how serious it is; `None` where nothing needs saying."""
        match self._job.state:
            case JobState.QUEUED:
                return None if self._all is None else self._queued()
            case JobState.SCHEDULED:
                return self._scheduled()
            case JobState.WAITING:
                means = "It goes on as soon as what it waits for is there, or its turn comes."
                return "Held back.", means, ""
            case JobState.RUNNING:
                return self._running()
            case _:
                return None

    def _queued(self) -> tuple[str, str, str] | None:
        queue = self._job.queue
        if self._queue is not None and self._queue.paused:
            return (
                f"The queue {queue} is paused.",
                "No job of it is started until it goes on.",
                "warn",
            )
        if not self._workers:
            means = f"Start one that does: ferryman worker app:app --queues {queue}"
            return f"No running worker serves the queue {queue}.", means, "bad"
        slots = sum(one.info.concurrency for one in self._workers)
        busy = sum(one.running for one in self._workers)
        ahead = 0 if self._queue is None else self._queue.queued
        line = f"{counted(ahead, 'job')} of this queue {'is' if ahead == 1 else 'are'} queued."
        if busy >= slots:
            return f"All {counted(slots, 'slot')} of its workers are in use.", line, ""
        return "A worker takes it as soon as its turn comes.", line, ""

    def _scheduled(self) -> tuple[str, str, str]:
        due = f"It is due {distance(self._job.due_at, self._now)}."
        match self._job.reason:
            case Reason.RETRY:
                of = f" of {self._tries}" if self._tries else ""
                return f"Attempt {self._job.attempts}{of} failed.", due, "warn"
            case Reason.SNOOZED:
                return "The job asked to be run again later.", due, ""
            case Reason.PARKED:
                return "No worker that took it could run it.", f"{self._job.detail} {due}", "bad"
            case _:
                return "It is for later.", due, ""

    def _running(self) -> tuple[str, str, str] | None:
        holders = [one for one in self._all or () if one.info.id == self._job.worker]
        if self._all is not None and not any(one.live for one in holders):
            means = "The job is sent back to its queue, and starts on another worker."
            return "Its worker is lost.", means, "bad"
        if self._job.cancel_requested:
            return (
                "It was asked to stop.",
                "Its worker waits for it, and ends it if need be.",
                "warn",
            )
        return None


def worker_name(id: str | None, workers: Sequence[WorkerStatus] | None) -> str:
    """A worker as people know it: its name, or the beginning of its id where it is gone.

    Whoever may not know of workers (`None`) gets that beginning.
    """
    if not id or workers is None:
        return (id or "")[:SHORT]
    known = next((one.info for one in workers if one.info.id == id), None)
    return f"{known.name} ({id[:SHORT]})" if known else f"{id[:SHORT]}, which has gone"
