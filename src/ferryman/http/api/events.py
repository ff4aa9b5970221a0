"""Events, as they happen: of one job, of all, and for a browser that holds no key."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Request, WebSocket
from starlette.responses import Response

from ferryman.http import selection
from ferryman.http.answers import answer
from ferryman.http.api.parameters import JobId, Name, Reader, Served, Text
from ferryman.http.auth import OPEN, never_refused, public
from ferryman.http.bodies import Body, StreamBody
from ferryman.http.documents import says, takes
from ferryman.http.following import follow_all, follow_job
from ferryman.http.hub import Listener, Wish
from ferryman.http.principal import Principal
from ferryman.http.problems import Problem
from ferryman.http.service import Grant, Service
from ferryman.http.streams import EventStream, Opened, serve_socket

router = APIRouter(tags=["events"])

_grant = Body(StreamBody)

STREAM: Any = {
    "responses": {
        200: {
            "description": "Events",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    }
}

LastEventId = Annotated[
    str | None, Header(max_length=1000, description="Go on after this event of the stream.")
]
LastSeen = Annotated[
    str | None,
    Query(max_length=1000, description="As `Last-Event-ID`, which counts if both are there."),
]


class Stream(msgspec.Struct, frozen=True):
    """Where a browser may follow what was asked for; good for `expires_in` seconds."""

    path: str
    expires_in: float


@router.get("/jobs/{job_id}/events", **STREAM)
@never_refused
async def job_events(
    service: Served,
    who: Reader,
    job_id: JobId,
    last_event_id: LastEventId = None,
    after: LastSeen = None,
) -> Response:
    """What happened to a job, and what happens: server-sent events `state`, `progress`, `log`."""
    return EventStream(await _open_job(service, who, job_id, last_event_id or after))


@router.websocket("/jobs/{job_id}/events")
async def job_socket(
    socket: WebSocket, service: Served, who: Reader, job_id: JobId, after: LastSeen = None
) -> None:
    """The same over a WebSocket."""
    await serve_socket(socket, await _open_job(service, who, job_id, after))


@router.get("/events", **STREAM)
@never_refused
async def all_events(
    service: Served,
    who: Reader,
    user: Text = None,
    queue: Name = None,
    task: Name = None,
    last_event_id: LastEventId = None,
    after: LastSeen = None,
) -> Response:
    """What happens to all jobs that match: server-sent events `events`, each an array of them.

    An event `reset` says that some were missed for good; read the state anew then.
    """
    wish = Wish(user=_user(who, user), queue=queue, task=task)
    return EventStream(await _open_all(service, who, wish, last_event_id or after))


@router.websocket("/events")
async def all_socket(
    socket: WebSocket,
    service: Served,
    who: Reader,
    user: Text = None,
    queue: Name = None,
    task: Name = None,
    after: LastSeen = None,
) -> None:
    """The same over a WebSocket."""
    wish = Wish(user=_user(who, user), queue=queue, task=task)
    await serve_socket(socket, await _open_all(service, who, wish, after))


@router.post(
    "/streams", **says(Stream, 400, 404, 413, 415, status=201), openapi_extra=takes(StreamBody)
)
async def grant_stream(request: Request, service: Served, who: Reader) -> Response:
    """A path under which a browser can follow jobs without a key, for a short time."""
    body = await _grant.read(request)
    return answer(await grant(service, who, body, request.scope.get("root_path", "")), 201)


async def grant(service: Service, who: Principal, body: StreamBody, root: str) -> Stream:
    """Let somebody without a key follow one job, or the jobs that match.

    Raises:
        JobNotFound: the caller may see no such job.
        Problem: the caller may not see them.
    """
    if body.job_id is not None:
        await selection.find(await service.store(), body.job_id, who)
    wish = Wish(job_id=body.job_id, user=_user(who, body.user), queue=body.queue, task=body.task)
    token = service.grants.sign(Grant(wish, who.key_id), body.expires_in)
    return Stream(f"{root}/api/v1/streams/{token}", body.expires_in)


@router.get("/streams/{token}", **STREAM, openapi_extra=OPEN)
@never_refused
@public
async def granted_events(
    service: Served, token: str, last_event_id: LastEventId = None, after: LastSeen = None
) -> Response:
    """The stream that a path of `POST /streams` stands for; the path itself is the permission."""
    return EventStream(await _open_granted(service, token, last_event_id or after))


@router.websocket("/streams/{token}")
@public
async def granted_socket(
    socket: WebSocket, service: Served, token: str, after: LastSeen = None
) -> None:
    """The same over a WebSocket."""
    await serve_socket(socket, await _open_granted(service, token, after))


async def _open_granted(service: Service, token: str, after: str | None) -> Opened:
    granted = await service.granted(token)
    if granted is None:
        raise Problem(401, "not-recognised", "this stream may not be opened (any more): ask anew")
    who = Principal(name="", scopes=frozenset(), key_id=granted.key_id)
    if granted.wish.job_id is not None:
        return _job_stream(service, who, granted.wish, after)
    return await _open_all(service, who, granted.wish, after)


async def _open_job(service: Service, who: Principal, job_id: str, after: str | None) -> Opened:
    await selection.find(await service.store(), job_id, who)
    return _job_stream(service, who, Wish(job_id=job_id), after)


def _job_stream(service: Service, who: Principal, wish: Wish, after: str | None) -> Opened:
    number = after or "0"
    if not number.isdecimal() or len(number) > 18:
        raise Problem(422, "invalid-request", "a job's events are counted: not a number")
    listener = Listener(wish, who.key_id)
    return Opened(follow_job(service, listener, int(number)), listener, service.hub)


async def _open_all(service: Service, who: Principal, wish: Wish, after: str | None) -> Opened:
    if after:
        await (await service.store()).feed(after, limit=1)  # refuses what is not its own
    listener = Listener(wish, who.key_id)
    return Opened(follow_all(service, listener, after or None), listener, service.hub)


def _user(who: Principal, user: str | None) -> str | None:
    if who.user is not None and user not in (None, who.user):
        raise Problem(403, "restricted-to-user", f"this key is for the jobs of user {who.user!r}")
    return who.user or user
