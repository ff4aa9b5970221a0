"""The routes below `/api/v1`, by noun."""

from fastapi import APIRouter

from ferryman.http.api import (
    actions,
    dead_letters,
    events,
    health,
    jobs,
    keys,
    openapi,
    queues,
    status,
    tasks,
    workers,
)

router = APIRouter()
for noun in (
    tasks,
    jobs,
    events,
    dead_letters,
    queues,
    workers,
    status,
    health,
    keys,
    actions,
    openapi,
):
    router.include_router(noun.router)
