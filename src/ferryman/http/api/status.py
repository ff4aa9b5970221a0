"""Status: everything at a glance, and what went through in a stretch of time."""

from datetime import timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from ferryman.domain.figures import BOUNDS, Figures
from ferryman.http import standing
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Reader, Served
from ferryman.http.auth import needs_all_users
from ferryman.http.documents import says

router = APIRouter(tags=["status"])


class FiguresList(msgspec.Struct, frozen=True):
    """What went through each queue, step by step; `bounds` are those of the spreads' buckets."""

    step: int
    bounds: tuple[float, ...]
    figures: tuple[Figures, ...]


@router.get("/status", **says(standing.Status))
async def show_status(service: Served, who: Reader) -> Response:
    """The figures of all queues and workers, and which promise holds now."""
    needs_all_users(who)
    return answer(await standing.status(service))


@router.get("/figures", **says(FiguresList))
async def show_figures(
    service: Served,
    who: Reader,
    seconds: Annotated[int, Query(ge=10, le=172_800)] = 900,
    step: Annotated[int, Query(ge=10, le=86_400)] = 10,
) -> Response:
    """What went through each queue in the last `seconds`, in steps; empty ones are left out."""
    needs_all_users(who)
    store = await service.store()
    since = await store.now() - timedelta(seconds=seconds)
    return answer(FiguresList(step, BOUNDS, tuple(await store.figures(since, step))))
