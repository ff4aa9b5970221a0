"""Streams over WebSockets, and paths that need no key: the same as server-sent events."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ferryman import Ferryman
from ferryman.http import HttpOptions, create_app
from ferryman.http.following import Frame
from ferryman.http.hub import ROOM, Batch, Listener, Wish
from ferryman.http.service import Service
from ferryman.http.streams import GOING_AWAY, TOO_SLOW, Opened, serve_socket
from tests.http.serving import serving


class Place(NamedTuple):
    """Where a service that asks for keys listens, and a key that may read."""

    port: int
    served: Any
    key: str

    @property
    def signed(self) -> dict[str, str]:
        """Headers with the key."""
        return {"authorization": f"Bearer {self.key}"}

    def open(self, path: str, **options: Any) -> connect:
        """A WebSocket to a path below the API."""
        return connect(f"ws://127.0.0.1:{self.port}/api/v1{path}", proxy=None, **options)

    async def granted(self, **body: Any) -> str:
        """A path, below the API, under which a stream may be opened without a key."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            answer = await client.post("/api/v1/streams", json=body, headers=self.signed)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["path"]).removeprefix("/api/v1")


@pytest.fixture
async def place(app: Ferryman, make_key: Any) -> AsyncIterator[Place]:
    """A service that asks for keys."""
    key, _ = await make_key("read")
    served = create_app(app, rate=0)
    async with serving(served) as port:
        yield Place(port, served, key)
    await app.aclose()


async def ids_until(socket: ClientConnection, last: str) -> tuple[list[str], str]:
    """The jobs that a stream of all tells of, up to one; and where to go on."""
    ids: list[str] = []
    async with asyncio.timeout(20):
        while last not in ids:
            message = json.loads(await socket.recv())
            if message["event"] == "events":
                ids += [event["job_id"] for event in message["data"]]
    return ids, message["id"]


async def end_of(socket: ClientConnection) -> ConnectionClosed:
    """How a stream ends."""
    async with asyncio.timeout(20):
        while True:
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                return closed


async def begun(socket: ClientConnection) -> None:
    """Wait until a stream of all has said from where on it tells."""
    async with asyncio.timeout(20):
        assert json.loads(await socket.recv())["event"] == "still-here"


@pytest.mark.parametrize("granted", [False, True])
async def test_a_socket_tells_what_is_wanted_and_goes_on_where_it_left_off(
    app: Ferryman, place: Place, granted: bool
) -> None:
    path, headers = "/events?queue=math&user=ann", place.signed
    if granted:
        path, headers = await place.granted(queue="math", user="ann") + "?", {}

    async def enqueue(id: str) -> None:
        await app.named("add").using(id=id, user="ann").aenqueue(1)

    async with place.open(path, additional_headers=headers) as socket:
        await begun(socket)
        await app.named("step").using(id="other-queue", user="ann").aenqueue(1)
        await app.named("add").using(id="other-user", user="bob").aenqueue(1)
        await enqueue("one")
        told, last = await ids_until(socket, "one")
    assert told == ["one"]
    await enqueue("meanwhile")
    async with place.open(f"{path}&after={last}", additional_headers=headers) as socket:
        await enqueue("two")
        assert (await ids_until(socket, "two"))[0] == ["meanwhile", "two"]


async def test_a_jobs_socket_tells_all_and_goes_on_by_number(app: Ferryman, place: Place) -> None:
    job = await app.named("step").using(id="one").aenqueue(0)
    async with app.worker(queues=["steps"]) as worker:
        await worker.drain()
    for path, headers in (
        ("/jobs/one/events", place.signed),
        (await place.granted(job_id=job.id), {}),
    ):
        async with place.open(path, additional_headers=headers) as socket:
            first = [json.loads(await socket.recv()) for _ in range(3)]
        states = [one["data"]["target"] for one in first]
        assert states == ["queued", "running", "succeeded"]
        number = first[0]["id"]
        again = f"{path}?after={number}"
        async with place.open(again, additional_headers=headers) as socket:
            assert json.loads(await socket.recv()) == first[1]


async def refusal(socket: connect) -> int:
    """The status with which a WebSocket is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with socket:
            pass
    return refused.value.response.status_code


async def test_a_socket_without_a_right_to_it_is_refused(
    app: Ferryman, place: Place, make_key: Any
) -> None:
    await app.named("add").using(id="theirs", user="them").aenqueue(1)
    mine, _ = await make_key("read", user="me")
    blind, _ = await make_key("enqueue")
    path = await place.granted(job_id="theirs")
    for wrong in ("/events", "/jobs/theirs/events", "/streams/none", f"{path[:-4]}AAAA"):
        assert await refusal(place.open(wrong)) == 401
    for key, wanted in ((blind, 403), (mine, 404)):
        headers = {"authorization": f"Bearer {key}"}
        socket = place.open("/jobs/theirs/events", additional_headers=headers)
        assert await refusal(socket) == wanted
    headers = {"authorization": f"Bearer {mine}"}
    assert await refusal(place.open("/events?user=them", additional_headers=headers)) == 403


async def test_a_page_of_another_origin_opens_no_socket(place: Place) -> None:
    path = await place.granted()
    for headers, paths in ((place.signed, "/events"), ({}, path)):
        foreign = place.open(paths, additional_headers=headers, origin="http://evil.example")
        assert await refusal(foreign) == 403
        own = f"http://127.0.0.1:{place.port}"
        async with place.open(paths, additional_headers=headers, origin=own) as socket:
            await begun(socket)


async def test_a_stream_may_be_granted_only_by_who_may_read_it(
    app: Ferryman, place: Place, make_key: Any
) -> None:
    await app.named("add").using(id="theirs", user="them").aenqueue(1)
    mine, _ = await make_key("read", user="me")
    blind, _ = await make_key("enqueue")
    base = f"http://127.0.0.1:{place.port}/api/v1"
    async with httpx.AsyncClient(base_url=base) as client:
        for key, body, status in (
            ("", {}, 401),
            (blind, {}, 403),
            (mine, {"job_id": "theirs"}, 404),
            (mine, {"user": "them"}, 403),
            (mine, {"expires_in": 0}, 422),
        ):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            answer = await client.post("/streams", json=body, headers=headers)
            assert answer.status_code == status, body
        whole = await client.post("/streams", json={}, headers={"authorization": f"Bearer {mine}"})
    path = whole.json()["path"].removeprefix("/api/v1")
    async with place.open(path) as socket:  # the key's own user, though none was named
        await begun(socket)
        await app.named("add").using(id="hidden", user="them").aenqueue(1)
        await app.named("add").using(id="mine", user="me").aenqueue(1)
        assert (await ids_until(socket, "mine"))[0] == ["mine"]


async def test_a_socket_of_a_revoked_key_ends(app: Ferryman, place: Place, make_key: Any) -> None:
    key, id = await make_key("read")
    headers = {"authorization": f"Bearer {key}"}
    async with place.open("/events", additional_headers=headers) as socket:
        await begun(socket)
        await (await app.store()).revoke_key(id)
        closed = await end_of(socket)
    assert closed.rcvd is not None
    assert closed.rcvd.code == GOING_AWAY


class Unread:
    """A WebSocket whose other end takes nothing."""

    def __init__(self) -> None:
        self.stuck = asyncio.Event()
        self.closed: tuple[int, str] | None = None

    async def accept(self) -> None:
        """It is opened."""

    async def send_text(self, _: str) -> None:
        """It never gets through."""
        self.stuck.set()
        await asyncio.Event().wait()

    async def receive_text(self) -> str:
        """Nothing comes."""
        await asyncio.Event().wait()
        return ""

    async def close(self, code: int, reason: str) -> None:
        """It is closed."""
        self.closed = (code, reason)


async def test_a_socket_that_is_read_too_slowly_is_cut(app: Ferryman) -> None:
    async def frames() -> AsyncGenerator[Frame, None]:
        yield Frame(event="events", data=b"[]")

    service, socket, listener = Service(app, HttpOptions()), Unread(), Listener(Wish())
    await service.hub.join(listener)
    opened: Any = socket
    served = asyncio.create_task(serve_socket(opened, Opened(frames(), listener, service.hub)))
    async with asyncio.timeout(20):
        await socket.stuck.wait()
        fat: Any = tuple(range(ROOM + 1))
        listener.put(Batch("1", fat))
        await served
    assert socket.closed == (TOO_SLOW, "read too slowly")
    assert (service.hub.cut, service.hub.listeners) == (1, 0)
    await service.close()
