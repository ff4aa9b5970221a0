"""Further checks of a history, which only scripts ask for: each needs what a script sees to."""

from collections.abc import Callable, Iterator
from typing import Final

from chaos.lives import NEVER, SECOND, Life, Lives

HEARD_WITHIN: Final = 3.0
"""Seconds in which a job that runs has to hear that somebody cancelled it."""

AHEAD: Final = 4.0
"""Seconds in which an urgent job has to come before all others."""

Check = Callable[[Lives], Iterator[str]]


def _unheard(lives: Lives) -> Iterator[str]:
    """Asked to stop while it ran, and it ran to its end."""
    for job, life in lives.jobs.items():
        for verb, verdict, _, given in life.steered:
            done = [leave.t for leave in life.leaves if leave.how == "done"]
            late = given + int(HEARD_WITHIN * SECOND)
            if (verb, verdict) == ("cancel", "requested") and any(t > late for t in done):
                yield f"{job} was asked to stop, and ran on for {(done[0] - given) / SECOND:.1f} s"


def _paused(lives: Lives) -> Iterator[str]:
    """Enqueued while its queue was paused, and started before that went on."""
    [since] = [mark.t for mark in lives.marks if mark.what == "pause"]
    [until] = [mark.t for mark in lives.marks if mark.what == "resume"]
    for job, life in lives.jobs.items():
        if life.asked > since and life.starts and life.starts[0].t < until:
            yield f"{job} started while its queue was paused"


def _overtaken(lives: Lives) -> Iterator[str]:
    """Urgent, and overtaken by what is not."""
    first = {job: _first(life) for job, life in lives.jobs.items()}
    others = [t for job, t in first.items() if not job.startswith("urgent")]
    for job, life in lives.jobs.items():
        if job.startswith("urgent"):
            since = life.acked + int(AHEAD * SECOND)
            before = sum(since < t < first[job] for t in others)
            if before:
                yield f"{before} others started before {job}, and it had long been next"


def _first(life: Life) -> int:
    return min((start.t for start in life.starts), default=NEVER)


ALL: Final[dict[str, Check]] = {
    "unheard": _unheard,
    "paused": _paused,
    "overtaken": _overtaken,
}
