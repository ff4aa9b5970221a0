"""The overview: figures at a glance, charts, queues."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.job import QueueInfo, WorkerStatus
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Reader
from ferryman.http.auth import needs_all_users
from ferryman.http.dashboard import phrases
from ferryman.http.dashboard.charts import CHARTS, RANGES, series
from ferryman.http.dashboard.sight import EVERY, PageRoute, Seen, lane_warnings

router = APIRouter(route_class=PageRoute)
_FIRST: Final = next(iter(RANGES))


class Tile(msgspec.Struct, frozen=True):
    """A figure at a glance, and the page that tells more."""

    name: str
    value: str
    path: str


@router.get("/")
async def overview(seen: Seen, who: Reader, range: str = _FIRST) -> Response:
    """The overview page; who sees one user's jobs only is led to these."""
    if who.user is not None:
        return seen.elsewhere("jobs")
    store = await seen.store()
    queues, workers = await asyncio.gather(store.queues(), store.workers())
    span = range if range in RANGES else _FIRST
    return seen.page(
        who,
        "overview.html",
        every=EVERY,
        queues=queues,
        acts=False,
        tiles=_tiles(queues, workers),
        charts=CHARTS,
        range=span,
        range_name=RANGES[span].name,
        ranges=[(key, one.name.capitalize()) for key, one in RANGES.items()],
        warnings=lane_warnings(store, workers),
    )


@router.get("/figures")
async def figures(seen: Seen, who: Reader, range: str = _FIRST) -> Response:
    """The lines of the charts."""
    needs_all_users(who)
    store = await seen.store()
    span = RANGES.get(range, RANGES[_FIRST])
    now = await store.now()
    found, queues = await asyncio.gather(
        store.figures(now - span.length, span.step), store.queues()
    )
    return answer(series(found, queues, now, span))


def _tiles(queues: Sequence[QueueInfo], workers: Sequence[WorkerStatus]) -> list[Tile]:
    live = [one for one in workers if one.live]
    slots = sum(one.info.concurrency for one in live)
    ages = [one.oldest_age for one in queues if one.oldest_age is not None]
    paused = sum(one.paused for one in queues)

    def total(name: str) -> str:
        return phrases.number(sum(getattr(one, name) for one in queues))

    return [
        Tile("queued", total("queued"), "jobs?state=queued"),
        Tile("oldest in a queue", phrases.span(max(ages)) if ages else "–", "queues"),
        Tile("running", total("running"), "jobs?state=running"),
        Tile("scheduled for later", total("scheduled"), "jobs?state=scheduled"),
        Tile("dead letters", total("failed"), "dead-letters"),
        Tile(
            "slots in use",
            f"{sum(one.running for one in live)} of {slots}",
            "workers",
        ),
        *([Tile("paused", phrases.counted(paused, "queue"), "queues")] if paused else []),
    ]


@router.get("/search")
async def search(seen: Seen, who: Reader, q: str = "") -> Response:
    """To the job of this id, or else to the jobs that hold this text in their arguments."""
    text = q.strip()
    store = await seen.store()
    [job] = await store.get([text]) if text else [None]
    if job is not None and who.user in (None, job.user):
        return seen.elsewhere(f"jobs/{job.id}")
    return seen.elsewhere("jobs", **({"text": text} if text else {}))
