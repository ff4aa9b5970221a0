"""Dead letters: the failed jobs, by task and error."""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from ferryman import masking
from ferryman.domain.job import Job
from ferryman.domain.states import JobState, Reason
from ferryman.http import selection
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Name, Reader, Served
from ferryman.http.bodies import Where
from ferryman.http.documents import says
from ferryman.http.principal import Principal
from ferryman.http.service import Service

router = APIRouter(tags=["jobs"])

LOOKED_AT: Final = 2000
"""The newest dead letters that are grouped in one request."""


class DeadLetterGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failed jobs of one task with one kind of error.

    Attributes:
        error: the type of the failure; the reason where a job failed without one (it expired).
        message: of the latest.
        job_id: the latest.
    """

    task: str
    error: str
    reason: Reason
    count: int
    first_at: datetime
    latest_at: datetime
    message: str
    job_id: str


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of failed jobs, the largest first.

    Attributes:
        partial: there are more dead letters than were looked at; counts are of the newest.
    """

    groups: tuple[DeadLetterGroup, ...]
    looked_at: int
    partial: bool


@router.get("/dead-letters", **says(DeadLetters))
async def list_dead_letters(
    service: Served,
    who: Reader,
    task: Name = None,
    queue: Name = None,
    most: Annotated[int, Query(ge=1, le=selection.MOST)] = LOOKED_AT,
) -> Response:
    """The failed jobs by task and error; `GET /jobs?state=failed` lists them.

    To retry or discard a group: `POST /jobs/bulk` with `where` = `{state, task, error}`.
    """
    return answer(await dead_letters(service, who, task, queue, most))


async def dead_letters(
    service: Service,
    who: Principal,
    task: str | None = None,
    queue: str | None = None,
    most: int = LOOKED_AT,
) -> DeadLetters:
    """The newest failed jobs by task and error."""
    where = Where(state=JobState.FAILED, task=task, queue=queue)
    groups: dict[tuple[str, str, Reason], DeadLetterGroup] = {}
    seen, partial = 0, False
    async for jobs, partial in selection.scan(service, where, who, most):  # noqa: B007
        seen += len(jobs)
        for job in jobs:
            _add(groups, job, service)
    ordered = sorted(groups.values(), key=lambda group: -group.count)
    return DeadLetters(groups=tuple(ordered), looked_at=seen, partial=partial)


def _add(
    groups: dict[tuple[str, str, Reason], DeadLetterGroup], job: Job, service: Service
) -> None:
    error = selection.error_of(job)
    at = job.finished_at or job.created_at
    key = (job.task, error, job.reason)
    group = groups.get(key)
    if group is not None:
        first, count = min(group.first_at, at), group.count + 1
        group = msgspec.structs.replace(group, count=count, first_at=first)
    if group is None or at > group.latest_at:
        said = job.failure.message if job.failure else job.detail
        group = DeadLetterGroup(
            task=job.task,
            error=error,
            reason=job.reason,
            count=group.count if group else 1,
            first_at=group.first_at if group else at,
            latest_at=at,
            message=masking.mask_text(said, service.views.secrets(job)),
            job_id=job.id,
        )
    groups[key] = group
