"""Queues: figures, pause, resume, purge."""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.job import QueueInfo
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Operator, QueueName, Reader, Served
from ferryman.http.auth import needs_all_users
from ferryman.http.documents import says
from ferryman.http.principal import Principal
from ferryman.http.service import Service

router = APIRouter(tags=["queues"])


class QueueList(msgspec.Struct, frozen=True):
    """Queues, by name."""

    queues: tuple[QueueInfo, ...]


class Purged(msgspec.Struct, frozen=True):
    """How many jobs a purge cancelled."""

    purged: int


@router.get("/queues", **says(QueueList))
async def list_queues(service: Served, who: Reader) -> Response:
    """Every queue that has held a job or was paused, with its figures."""
    needs_all_users(who)
    store = await service.store()
    return answer(QueueList(tuple(await store.queues())))


@router.post("/queues/{queue}/pause", **says(None, status=204))
async def pause_queue(service: Served, who: Operator, queue: QueueName) -> Response:
    """Let no more jobs of a queue start. Running ones go on, new ones are taken in."""
    await pause(service, who, queue)
    return Response(status_code=204)


@router.post("/queues/{queue}/resume", **says(None, status=204))
async def resume_queue(service: Served, who: Operator, queue: QueueName) -> Response:
    """Let the jobs of a paused queue start again."""
    await resume(service, who, queue)
    return Response(status_code=204)


@router.post("/queues/{queue}/purge", **says(Purged))
async def purge_queue(service: Served, who: Operator, queue: QueueName) -> Response:
    """Cancel every job of a queue that is not running and has not ended."""
    return answer(Purged(await purge(service, who, queue)))


async def pause(service: Service, who: Principal, queue: str) -> None:
    """Let no more jobs of a queue start."""
    needs_all_users(who)
    await (await service.store()).pause(queue)
    await service.record(who, "pause", queue)


async def resume(service: Service, who: Principal, queue: str) -> None:
    """Let the jobs of a paused queue start again."""
    needs_all_users(who)
    await (await service.store()).resume(queue)
    await service.record(who, "resume", queue)


async def purge(service: Service, who: Principal, queue: str) -> int:
    """Cancel what waits in a queue; how many jobs that were."""
    needs_all_users(who)
    purged = await (await service.store()).purge(queue)
    await service.record(who, "purge", queue, f"{purged} jobs")
    return purged
