"""Tasks, and the jobs that are asked for."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from ferryman.http import submission
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Enqueuer, Reader, Served
from ferryman.http.bodies import BatchBody, Body, NewJobBody
from ferryman.http.documents import BATCH_PATH, TASK_PATH, arguments_schema, says, takes
from ferryman.http.views import JobView

router = APIRouter(tags=["tasks"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Requests with the same key, from the same caller, are one request.",
    ),
]

_one = Body(NewJobBody)
_many = Body(BatchBody)


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task that can be asked for; `arguments` is the JSON schema of what it takes."""

    name: str
    queue: str
    priority: int
    description: str
    arguments: dict[str, Any]


class TaskList(msgspec.Struct, frozen=True):
    """The tasks that this service knows."""

    tasks: tuple[TaskView, ...]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A job of a batch; `created` is false where it was there already."""

    id: str
    queue: str
    created: bool


class TakenList(msgspec.Struct, frozen=True):
    """The jobs of a batch, in its order."""

    jobs: tuple[Taken, ...]


@router.get("/tasks", **says(TaskList))
async def list_tasks(service: Served, who: Reader) -> Response:
    """The tasks whose code this service knows, by name."""
    return answer(
        TaskList(
            tuple(
                TaskView(
                    name=task.name,
                    queue=task.policy.queue,
                    priority=task.policy.priority,
                    description=(task.function.__doc__ or "").strip() if task.function else "",
                    arguments=arguments_schema(task),
                )
                for _, task in sorted(service.client.tasks.items())
            )
        )
    )


@router.post(
    TASK_PATH,
    **says(
        JobView, 400, 404, 409, 413, 415, status=201, also={200: "There already: the same request"}
    ),
    openapi_extra=takes(NewJobBody),
)
async def enqueue(
    task: str,
    request: Request,
    service: Served,
    who: Enqueuer,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Ask for a job of the task."""
    submission.known_task(service.client, task)
    body = await _one.read_or(request, NewJobBody())
    key = idempotency_key or ""
    job = submission.new_job(service.client, task, body, who, key)
    store = await service.store()
    [(found, created)] = await submission.submit(store, [job], who, keyed=bool(key))
    return answer(service.views.job(found, created=created), 201 if created else 200)


@router.post(
    BATCH_PATH,
    **says(
        TakenList,
        400,
        404,
        409,
        413,
        415,
        status=201,
        also={200: "All there already: the same request"},
    ),
    openapi_extra=takes(BatchBody),
)
async def enqueue_many(
    request: Request, service: Served, who: Enqueuer, idempotency_key: IdempotencyKey = None
) -> Response:
    """Ask for many jobs, of any tasks.

    Nothing is taken in if a request does not fit. Where a unique key is held, the jobs before that
    one were taken in: the same request with an `Idempotency-Key`, or with ids, can be repeated.
    """
    body = await _many.read(request)
    jobs = [
        submission.new_job(
            service.client,
            one.task,
            one,
            who,
            f"{idempotency_key} {place}" if idempotency_key else "",
        )
        for place, one in enumerate(body.jobs)
    ]
    store = await service.store()
    taken = await submission.submit(store, jobs, who, keyed=bool(idempotency_key))
    views = tuple(Taken(id=job.id, queue=job.queue, created=created) for job, created in taken)
    return answer(TakenList(views), 201 if any(one.created for one in views) else 200)
