"""Workers: the processes that run jobs."""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.job import WorkerStatus
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Reader, Served
from ferryman.http.auth import needs_all_users
from ferryman.http.documents import says

router = APIRouter(tags=["workers"])


class WorkerList(msgspec.Struct, frozen=True):
    """Worker processes, by name."""

    workers: tuple[WorkerStatus, ...]


@router.get("/workers", **says(WorkerList))
async def list_workers(service: Served, who: Reader) -> Response:
    """The worker processes that the store knows."""
    needs_all_users(who)
    store = await service.store()
    return answer(WorkerList(tuple(await store.workers())))
