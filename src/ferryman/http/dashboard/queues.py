"""Queues: figures, and what an operator can do with one."""

from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.job import QueueInfo
from ferryman.http.api import queues as api
from ferryman.http.api.parameters import JobOperator, Operator, QueueName, Reader
from ferryman.http.auth import needs_all_users
from ferryman.http.dashboard.phrases import counted
from ferryman.http.dashboard.rendering import address
from ferryman.http.dashboard.sight import EVERY, PageRoute, Seen, lane_warnings

router = APIRouter(route_class=PageRoute)


@router.get("/queues")
async def list_queues(seen: Seen, who: Reader) -> Response:
    """Every queue with its figures."""
    needs_all_users(who)
    store = await seen.store()
    queues, workers = await store.queues(), await store.workers()
    return seen.page(
        who,
        "queues.html",
        every=EVERY,
        queues=queues,
        acts=True,
        warnings=lane_warnings(store, workers),
    )


@router.post("/queues/{queue}/pause")
async def pause(seen: Seen, who: Operator, queue: QueueName) -> Response:
    """Stop claims from a queue."""
    await api.pause(seen.service, who, queue)
    return seen.elsewhere("queues", done="pause", n="1")


@router.post("/queues/{queue}/resume")
async def resume(seen: Seen, who: Operator, queue: QueueName) -> Response:
    """Let claims from a queue go on."""
    await api.resume(seen.service, who, queue)
    return seen.elsewhere("queues", done="resume", n="1")


@router.get("/queues/{queue}/purge")
async def ask_to_purge(seen: Seen, who: JobOperator, queue: QueueName) -> Response:
    """Ask whether all that has not started shall be cancelled."""
    needs_all_users(who)
    store = await seen.store()
    known = {one.name: one for one in await store.queues()}
    info = known.get(queue, QueueInfo(name=queue))
    number = info.queued + info.scheduled + info.waiting
    means = (
        f"{counted(number, 'job')} of the queue {queue}, as counted last, never start: "
        f"{info.queued:,} queued, {info.scheduled:,} scheduled, {info.waiting:,} waiting. "
        "Running ones go on. Cancelled jobs can be retried."
    )
    return seen.page(
        who,
        "confirm.html",
        question=f"Purge the queue {queue}?",
        means=[means],
        values=[],
        action=address(seen.request, f"queues/{queue}/purge"),
        verb=f"Cancel {counted(number, 'job')}",
        risky=True,
        total=number,
        sample=[],
        back=address(seen.request, "queues"),
    )


@router.post("/queues/{queue}/purge")
async def purge(seen: Seen, who: Operator, queue: QueueName) -> Response:
    """Cancel all of a queue that has not started."""
    number = await api.purge(seen.service, who, queue)
    return seen.elsewhere("queues", done="purge", n=str(number))
