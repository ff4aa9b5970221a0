"""One line when a job starts, and one when it ends."""

import logging
import time
from typing import Any, Final

from ferryman.domain.job import Delivery
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import Verdict
from ferryman.worker.attempt import Attempt

logger = logging.getLogger("ferryman.worker")

_CALM: Final = {Reason.RETURNED, Reason.SNOOZED, Reason.HANDED_BACK, Reason.CANCELLED_ITSELF}
"""What needs nobody's attention."""


def began(delivery: Delivery) -> None:
    """A delivery starts."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s starts", delivery.task, extra=_fields(delivery))


def ended(attempt: Attempt, ending: Ending) -> None:
    """An attempt came to its outcome."""
    level = logging.INFO if ending.reason in _CALM else logging.WARNING
    if not logger.isEnabledFor(level):
        return
    delivery, seconds = attempt.delivery, time.monotonic() - attempt.began
    fields = {**_fields(delivery), "outcome": ending.reason.value, "duration": round(seconds, 6)}
    line = f"{delivery.task} {_what(ending)} after {seconds:.3f} s{_explanation(ending)}"
    logger.log(level, "%s", line, extra=fields)


def refused(attempt: Attempt, verdict: Verdict) -> None:
    """The store did not take an ending: the job belongs to somebody else by now."""
    logger.warning(
        "what %s came to was refused (%s): it was sent elsewhere meanwhile",
        attempt.delivery.task,
        verdict,
        extra=_fields(attempt.delivery),
    )


def _what(ending: Ending) -> str:
    if ending.state is JobState.SUCCEEDED:
        return "succeeded"
    due = f" in {ending.delay:.1f} s" if ending.state is JobState.SCHEDULED else ""
    return f"{ending.state}{due} ({ending.reason})"


def _explanation(ending: Ending) -> str:
    if ending.failure is not None:
        return f": {ending.failure.kind}: {ending.failure.message}"
    return f": {ending.detail}" if ending.detail else ""


def _fields(delivery: Delivery) -> dict[str, Any]:
    return {
        "job_id": delivery.job_id,
        "task": delivery.task,
        "attempt": delivery.attempts + 1,
    }
