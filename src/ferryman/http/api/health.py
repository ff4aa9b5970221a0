"""Health for whoever keeps services running, and metrics for Prometheus.

The two of health ask for no key: whoever probes has none. They say nothing of jobs.
"""

import msgspec
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from ferryman.http import metrics, standing
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Reader, Served
from ferryman.http.auth import OPEN, needs_all_users, public
from ferryman.http.documents import says

router = APIRouter(tags=["health"])


class Liveness(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "live"


@router.get("/health/live", **says(Liveness), openapi_extra=OPEN)
@public
async def live() -> Response:
    """Whether the process answers: if not, start it anew. Asks nothing of the store."""
    return answer(Liveness())


@router.get("/health/ready", **says(standing.Readiness), openapi_extra=OPEN)
@public
async def ready(service: Served) -> Response:
    """Whether jobs can be taken in and run now; 503 if not."""
    found = await standing.readiness(service)
    if found.status == "unavailable":
        return answer(found, 503, {"retry-after": "2"})
    return answer(found)


@router.get(
    "/metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def show_metrics(service: Served, who: Reader) -> Response:
    """Figures in Prometheus' text format."""
    needs_all_users(who)
    text = metrics.render(await standing.status(service), service)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
