"""Jobs: a page of them, all about one, and what an operator can do with it."""

import asyncio
from typing import Any, Final

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ferryman import masking
from ferryman.domain.errors import ConfigError, InvalidArguments, UnknownTask
from ferryman.domain.job import Job, QueueInfo, WorkerStatus
from ferryman.domain.priority import priority_name
from ferryman.domain.states import JobState
from ferryman.http import selection
from ferryman.http.api import jobs as api
from ferryman.http.api.parameters import JobId, JobOperator, Reader
from ferryman.http.bodies import RetryBody
from ferryman.http.dashboard.histories import attempts, log, timeline
from ferryman.http.dashboard.notes import Standstill, worker_name
from ferryman.http.dashboard.rendering import Notice, address
from ferryman.http.dashboard.search import Search
from ferryman.http.dashboard.sight import EVERY, PageRoute, Seen, Sight
from ferryman.http.principal import Principal
from ferryman.http.problems import Problem
from ferryman.http.views import EVENTS

router = APIRouter(route_class=PageRoute)

PAGE: Final = 50


@router.get("/jobs")
async def list_jobs(seen: Seen, who: Reader) -> Response:
    """A page of jobs, chosen by its address."""
    search = Search.of(seen.request.query_params)
    where, cursor = search.where(), search.cursor or None
    wanted, asked = selection.job_filter(where, who), selection.accepts(where, seen.views)
    store = await seen.store()
    try:
        found = await store.page(wanted, limit=PAGE, cursor=cursor, accepts=asked)
    except ConfigError as error:
        raise Problem(422, "not-a-filter", str(error)) from error
    return seen.page(
        who,
        "jobs.html",
        every=0 if search.cursor else EVERY,
        search=search,
        states=list(JobState),
        jobs=[seen.views.summary(job) for job in found.jobs],
        next=found.cursor and search.at(found.cursor),
        partial=found.partial,
        now=await store.now(),
        task_names=sorted(seen.client.tasks),
        queue_names=sorted({task.policy.queue for task in seen.client.tasks.values()}),
    )


@router.get("/jobs/{job_id}")
async def show_job(seen: Seen, who: Reader, job_id: JobId) -> Response:
    """All about one job, live."""
    store = await seen.store()
    job = await selection.find(store, job_id, who)
    events, now = await asyncio.gather(store.events(job_id, limit=EVENTS + 1), store.now())
    view = seen.views.job(job, events)
    del events[EVENTS:]
    secrets = seen.views.secrets(job)
    queues: list[QueueInfo] | None = None
    workers: list[WorkerStatus] | None = None
    if who.user is None:  # else they are not this one's business
        queues, workers = await asyncio.gather(store.queues(), store.workers())
    why = Standstill(view, now, queues, workers, _tries(seen, job)).explain()
    return seen.page(
        who,
        "job.html",
        every=EVERY,
        stream="" if job.state.terminal else address(seen.request, f"api/v1/jobs/{job_id}/events"),
        job=view,
        now=now,
        why=why and Notice(*why),
        priority=priority_name(job.priority),
        worker=worker_name(job.worker, workers),
        timeline=timeline(events, secrets, workers),
        attempts=attempts(view.runs, workers),
        log=log(events, secrets),
        arguments=written(view.arguments),
        result=written(view.result),
        can_edit=view.arguments is not None,
    )


def _tries(seen: Sight, job: Job) -> int | None:
    """How many attempts the job has, where this process knows."""
    task = seen.client.tasks.get(job.task)
    retry = job.options.retry or (task.policy.retry if task else None)
    return retry.max_attempts if retry else None


def written(value: Any) -> str:
    """A JSON value over several lines."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


# -- what an operator can do ---------------------------------------------------------------------


@router.post("/jobs/{job_id}/cancel")
async def cancel(seen: Seen, who: JobOperator, job_id: JobId) -> Response:
    """Cancel one job."""
    await api.cancel(seen.service, who, job_id)
    return seen.elsewhere(f"jobs/{job_id}", done="cancel", n="1")


@router.get("/jobs/{job_id}/edit")
async def edit(seen: Seen, who: JobOperator, job_id: JobId) -> Response:
    """Ask for other arguments."""
    job = await selection.find(await seen.store(), job_id, who)
    return _editor(seen, who, job, written(seen.views.job(job).arguments))


def _editor(seen: Sight, who: Principal, job: Job, text: str, wrong: str = "") -> Response:
    return seen.page(
        who,
        "edit.html",
        status=422 if wrong else 200,
        job=job,
        arguments=text,
        wrong=wrong,
        mask=masking.MASK,
        masked=bool(seen.views.secrets(job)),
    )


@router.post("/jobs/{job_id}/retry")
async def retry(seen: Seen, who: JobOperator, job_id: JobId) -> Response:
    """Retry one job, with other arguments where some are given."""
    text = dict(await seen.form()).get("arguments")
    body = RetryBody()
    job = await selection.find(await seen.store(), job_id, who)
    try:
        if text is not None:
            body = RetryBody(arguments=msgspec.json.decode(text, type=dict[str, Any]))
        await api.retry(seen.service, who, job_id, body)
    except (msgspec.DecodeError, InvalidArguments, UnknownTask) as error:
        return _editor(seen, who, job, text or "", wrong=str(error))
    return seen.elsewhere(f"jobs/{job_id}", done="retry", n="1")
