"""The dashboard's routes, by page."""

from typing import Final

from fastapi import APIRouter
from starlette.staticfiles import StaticFiles

from ferryman.http.dashboard import bulk, dead_letters, jobs, operators, overview, queues, workers
from ferryman.http.dashboard.rendering import STATIC

router: Final = APIRouter(include_in_schema=False)
for part in (overview, jobs, bulk, dead_letters, queues, workers, operators):
    router.include_router(part.router)


def static_files() -> StaticFiles:
    """What browsers fetch besides pages; everyone may have it."""
    return StaticFiles(directory=STATIC)
