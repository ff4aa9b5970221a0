"""Dead letters by task and error: what fails, how often, since when."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.job import Job
from ferryman.domain.states import JobState
from ferryman.http.api.parameters import Reader
from ferryman.http.dashboard.sight import EVERY, PageRoute, Seen
from ferryman.http.views import JobSummary
from ferryman.stores.base import JobFilter

router = APIRouter(route_class=PageRoute)

LOOKED_AT: Final = 1000
"""Dead letters, the newest ones, that the groups are made of."""
BATCH: Final = 500


class Group(msgspec.Struct, kw_only=True):
    """Dead letters of one task with one error, or one reason where they have none."""

    task: str
    error: str
    short: str
    message: str
    latest_id: str
    latest: datetime
    first: datetime
    number: int = 0

    @property
    def key(self) -> str:
        """Names the group within the page."""
        return hashlib.sha256(f"{self.task}\n{self.error}".encode()).hexdigest()[:16]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The filters that it is."""
        return [("state", "failed"), ("task", self.task), ("error", self.error)]

    @property
    def query(self) -> str:
        """The address of its jobs."""
        return urlencode(self.pairs)


@router.get("/dead-letters")
async def dead_letters(seen: Seen, who: Reader) -> Response:
    """The groups, the one with the latest dead letter first."""
    store = await seen.store()
    where = JobFilter(state=JobState.FAILED, user=who.user)
    jobs: list[Job] = []
    cursor = None
    while len(jobs) < LOOKED_AT:
        found = await store.page(where, limit=BATCH, cursor=cursor)
        jobs += found.jobs
        cursor = found.cursor
        if cursor is None:
            break
    return seen.page(
        who,
        "dead_letters.html",
        every=EVERY,
        groups=grouped(seen.views.summary(job) for job in jobs),
        more=cursor is not None,
        looked_at=f"{len(jobs):,}",
        now=await store.now(),
    )


def grouped(jobs: Iterable[JobSummary]) -> list[Group]:
    """Dead letters by task and error."""
    groups: dict[tuple[str, str], Group] = {}
    for job in jobs:
        error = job.failure.kind if job.failure else job.reason.value
        ended = job.finished_at or job.created_at
        group = groups.setdefault(
            (job.task, error),
            Group(
                task=job.task,
                error=error,
                short=error.rpartition(".")[2].replace("_", " "),
                message="",
                latest_id=job.id,
                latest=ended,
                first=ended,
            ),
        )
        group.number += 1
        group.first = min(group.first, ended)
        if ended >= group.latest:
            group.latest, group.latest_id = ended, job.id
            group.message = job.failure.message if job.failure else job.detail
    return sorted(groups.values(), key=lambda group: group.latest, reverse=True)
