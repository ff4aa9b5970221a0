"""Jobs: found, looked at, waited for, stopped, sent back, thrown away."""

import logging
import time
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ferryman.domain.errors import IllegalTransition, JobExists, JobNotFound, StoreError
from ferryman.domain.job import Job
from ferryman.http import selection, submission
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Cursor, Filter, JobId, JobOperator, Limit, Reader, Served
from ferryman.http.bodies import Body, BulkBody, RetryBody
from ferryman.http.documents import says, takes
from ferryman.http.principal import Principal
from ferryman.http.problems import Problem
from ferryman.http.service import Service
from ferryman.http.views import EVENTS, JobSummary, JobView
from ferryman.stores.base import Verdict

router = APIRouter(tags=["jobs"])
logger = logging.getLogger("ferryman.http")

LONGEST_WAIT: Final = 60.0
SLICE: Final = 5.0
"""Seconds that a request may wait, and after which it looks whether the service shuts down."""

_bulk = Body(BulkBody)
_retry = Body(RetryBody)


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, the newest first as far as the store can tell.

    Attributes:
        cursor: asks for the next page; null on the last.
        partial: the store stopped looking before the page was full; go on at `cursor`.
    """

    jobs: tuple[JobSummary, ...]
    cursor: str | None
    partial: bool


@router.get("/jobs", **says(JobList))
async def list_jobs(
    service: Served, who: Reader, where: Filter, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """A page of the jobs that match all that is given."""
    store = await service.store()
    wanted, asked = selection.job_filter(where, who), selection.accepts(where, service.views)
    page = await store.page(wanted, limit=limit, cursor=cursor, accepts=asked)
    jobs = tuple(map(service.views.summary, page.jobs))
    return answer(JobList(jobs=jobs, cursor=page.cursor, partial=page.partial))


@router.get("/jobs/{job_id}", **says(JobView, 404))
async def get_job(service: Served, who: Reader, job_id: JobId) -> Response:
    """A job with its arguments, progress, result or error, its runs and its events."""
    return answer(await show(service, who, job_id))


async def show(service: Service, who: Principal, job_id: str) -> JobView:
    """A job with all that belongs to it.

    Raises:
        JobNotFound: there is none that the caller may see.
    """
    store = await service.store()
    job = await selection.find(store, job_id, who)
    return service.views.job(job, await store.events(job_id, limit=EVENTS + 1))


@router.get("/jobs/{job_id}/wait", **says(JobView, 404))
async def wait_for_job(
    service: Served,
    who: Reader,
    job_id: JobId,
    timeout: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 30.0,
) -> Response:
    """The job once it has ended, or as it is after `timeout` seconds."""
    store = await service.store()
    job = await selection.find(store, job_id, who)
    end = time.monotonic() + timeout
    while not job.state.terminal and (left := end - time.monotonic()) > 0:
        if service.closing():
            raise Problem(503, "closing", "the service shuts down: ask again", retry_after=1)
        ended = await store.wait_for_end(job_id, min(left, SLICE))
        if ended is None:
            raise JobNotFound(f"job {job_id!r} was discarded meanwhile")
        job = ended
    return answer(service.views.job(job))


@router.post("/jobs/{job_id}/cancel", **says(JobView, 404, 409))
async def cancel_job(service: Served, who: JobOperator, job_id: JobId) -> Response:
    """Cancel a job; the worker of a running one is asked to stop it."""
    return answer(await cancel(service, who, job_id))


async def cancel(service: Service, who: Principal, job_id: str) -> JobView:
    """Cancel a job.

    Raises:
        JobNotFound: there is none that the caller may see.
        IllegalTransition: it has ended.
    """
    store = await service.store()
    await selection.find(store, job_id, who)
    [verdict] = await store.cancel([job_id], by=who.name)
    _check(verdict, job_id, "cancelled: it has ended")
    await service.record(who, "cancel", job_id)
    return await show(service, who, job_id)


@router.post(
    "/jobs/{job_id}/retry",
    **says(JobView, 400, 404, 409, 413, 415),
    openapi_extra=takes(RetryBody, required=False),
)
async def retry_job(request: Request, service: Served, who: JobOperator, job_id: JobId) -> Response:
    """Send a failed or cancelled job back to its queue."""
    body = await _retry.read_or(request, RetryBody())
    return answer(await retry(service, who, job_id, body))


async def retry(service: Service, who: Principal, job_id: str, body: RetryBody) -> JobView:
    """Send a failed or cancelled job back to its queue, with other arguments if any are given.

    Raises:
        JobNotFound: there is none that the caller may see.
        IllegalTransition: it is neither failed nor cancelled.
        JobExists: another live job holds its unique key.
        InvalidArguments, UnknownTask: arguments that do not fit, or cannot be checked.
    """
    store = await service.store()
    job = await selection.find(store, job_id, who)
    args = None
    if body.arguments is not None:
        was = service.views.arguments(job)
        args = submission.edited_arguments(service.client, job, body.arguments, was)
    [verdict] = await store.retry([job_id], args=args, by=who.name)
    _check(verdict, job_id, "retried: it is neither failed nor cancelled")
    await service.record(who, "retry", job_id, "with other arguments" if args else "")
    return await show(service, who, job_id)


@router.post("/jobs/{job_id}/discard", **says(None, 404, 409, status=204))
async def discard_job(service: Served, who: JobOperator, job_id: JobId) -> Response:
    """Delete a job that has ended, with its result and its events."""
    await discard(service, who, job_id)
    return Response(status_code=204)


async def discard(service: Service, who: Principal, job_id: str) -> Job:
    """Delete a job that has ended; what it was.

    Raises:
        JobNotFound: there is none that the caller may see.
        IllegalTransition: it has not ended.
    """
    store = await service.store()
    job = await selection.find(store, job_id, who)
    [verdict] = await store.discard([job_id])
    _check(verdict, job_id, "discarded: it has not ended")
    await service.record(who, "discard", job_id)
    return job


@router.post(
    "/jobs/bulk",
    **says(selection.Bulk, 400, 413, 415),
    openapi_extra=takes(BulkBody),
)
async def bulk(request: Request, service: Served, who: JobOperator) -> Response:
    """Cancel, retry or discard many jobs: those that are named, or all that match."""
    return answer(await act(service, who, await _bulk.read(request)))


async def act(service: Service, who: Principal, body: BulkBody) -> selection.Bulk:
    """Do something to many jobs.

    Raises:
        Problem: it names neither jobs nor a filter, or both; the store failed midway (503).
    """
    if (body.ids is None) == (body.where is None):
        raise Problem(
            422, "invalid-request", "give either `ids` or `where` (an empty one is: all jobs)"
        )
    store = await service.store()
    ids, more = await selection.select(service, body.ids, body.where, who)
    if body.dry_run:
        return selection.Bulk(matched=len(ids), more=more, dry_run=True)
    changed, wrong = 0, None
    try:
        async for number in selection.act(store, body.action, ids, who.name):
            changed += number
    except StoreError as error:
        wrong = error
    target = f"{len(ids)} jobs" if body.where is None else _told(body)
    done = f"{changed} of {len(ids)} jobs{', then the store failed' if wrong else ''}"
    try:
        await service.record(who, body.action, target, done)
    except StoreError as error:
        logger.warning("not recorded: %s: %s %s: %s", who.name, body.action, target, done)
        wrong = error
    if wrong is not None:
        raise _interrupted(len(ids), changed) from wrong
    return selection.Bulk(matched=len(ids), changed=changed, refused=len(ids) - changed, more=more)


def _interrupted(matched: int, changed: int) -> Problem:
    return Problem(
        503,
        "interrupted",
        f"the store failed after {changed} of {matched} jobs were changed, and maybe some more: "
        "the same request goes on with the rest",
        retry_after=2,
        matched=matched,
        changed=changed,
    )


def _told(body: BulkBody) -> str:
    given = msgspec.to_builtins(body.where)
    named = " ".join(f"{name}={value}" for name, value in given.items() if value is not None)
    return named or "all jobs"


def _check(verdict: Verdict, job_id: str, refusal: str) -> None:
    match verdict:
        case Verdict.MISSING:
            raise JobNotFound(f"job {job_id!r} was discarded meanwhile")
        case Verdict.STALE:
            raise IllegalTransition(f"job {job_id} cannot be {refusal}")
        case Verdict.CONFLICT:
            raise JobExists(f"another live job holds the unique key of {job_id}", job_id)
