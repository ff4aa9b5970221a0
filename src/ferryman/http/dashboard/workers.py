"""Workers: the processes that run jobs, and what they are doing."""

import asyncio
from collections import defaultdict
from datetime import datetime
from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.job import Job, WorkerInfo, WorkerStatus
from ferryman.domain.states import JobState
from ferryman.http.api.parameters import Reader
from ferryman.http.auth import needs_all_users
from ferryman.http.dashboard.sight import EVERY, PageRoute, Seen, lane_warnings
from ferryman.stores.base import JobFilter

router = APIRouter(route_class=PageRoute)

LOOKED_AT: Final = 500
"""Running jobs that are looked at to tell who runs which."""
SHOWN: Final = 10
"""Jobs that are named of one worker."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as the page shows it; `more` is how many of its jobs are not named."""

    info: WorkerInfo
    started_at: datetime
    seen_at: datetime | None
    live: bool
    degraded: bool
    running: int
    memory: int | None
    jobs: list[Job]
    more: int


@router.get("/workers")
async def list_workers(seen: Seen, who: Reader) -> Response:
    """Every worker process that is known."""
    needs_all_users(who)
    store = await seen.store()
    running = JobFilter(state=JobState.RUNNING)
    workers, page, now = await asyncio.gather(
        store.workers(), store.page(running, limit=LOOKED_AT), store.now()
    )
    held: dict[str, list[Job]] = defaultdict(list)
    for job in page.jobs:
        held[job.worker or ""].append(job)
    rows = [_row(worker, held[worker.info.id]) for worker in workers]
    return seen.page(
        who,
        "workers.html",
        every=EVERY,
        workers=rows,
        now=now,
        warnings=lane_warnings(store, workers),
    )


def _row(worker: WorkerStatus, jobs: list[Job]) -> Row:
    shown = sorted(jobs, key=lambda job: job.started_at or job.created_at)[:SHOWN]
    return Row(
        info=worker.info,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        live=worker.live,
        degraded=worker.degraded,
        running=worker.running,
        memory=worker.info.memory,
        jobs=shown,
        more=max(0, worker.running - len(shown)),
    )
