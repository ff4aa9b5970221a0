"""Queues: figures, pause, resume, purge."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from ferryman.http.answers import answer
from ferryman.http.auth import needs
from ferryman.http.principal import Principal, Scope
from ferryman.http.service import Service, service_of

router = APIRouter(tags=["queues"])


@router.get("/queues")
async def list_queues(
    service: Annotated[Service, Depends(service_of)], who: Annotated[Principal, needs(Scope.READ)]
) -> Response:
    """Every queue that has held a job or was paused, by name, with its figures."""
    store = await service.store()
    return answer({"queues": await store.queues()})
