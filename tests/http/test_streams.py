"""Streams: nothing is missed, nothing comes twice, and nobody holds the others up."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from ferryman import Ferryman
from ferryman.http import create_app
from ferryman.http.answers import COME_AGAIN
from ferryman.http.hub import ROOM, Batch, Listener, Wish
from tests.http.serving import Events, serving

on_every_store = pytest.mark.parametrize(
    "app", ["sqlite", "postgresql", "hybrid-postgresql", "valkey"], indirect=True
)


@pytest.fixture
def port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        number: int = tried.getsockname()[1]
        return number


@contextlib.asynccontextmanager
async def listening(*urls: str) -> AsyncIterator[list[Events]]:
    """Listeners to streams."""
    events = [Events(url) for url in urls]
    try:
        yield events
    finally:
        await asyncio.gather(*(one.close() for one in events))


def states(told: list[tuple[str, Any]]) -> list[str]:
    """The states that a job went through."""
    return [data["target"] for kind, data in told if kind == "state"]


@on_every_store
async def test_a_listener_sees_a_job_from_its_submission_to_its_end(app: Ferryman) -> None:
    served = create_app(app, auth="off")
    async with serving(served) as port, app.worker(queues=["steps"]):
        job = await app.named("step").using(id="one").aenqueue(2)
        url = f"http://127.0.0.1:{port}/api/v1/jobs/{job.id}/events"
        async with listening(url) as [events]:
            await events.until(lambda one: "succeeded" in states(one.told))
        assert states(events.told) == ["queued", "running", "succeeded"]
        numbers = [data["seq"] for _, data in events.told]
        assert numbers == sorted(set(numbers))
        assert any(kind == "progress" for kind, _ in events.told)
    await app.aclose()


@on_every_store
async def test_a_stream_goes_on_over_a_restart_of_the_service(app: Ferryman, port: int) -> None:
    base = f"http://127.0.0.1:{port}/api/v1"
    job = await app.named("step").using(id="one").aenqueue(1)
    async with listening(f"{base}/jobs/{job.id}/events", f"{base}/events") as [one, every]:
        async with serving(create_app(app, auth="off"), port):
            await one.until(lambda it: it.told)
            await app.named("step").using(id="two").aenqueue(1)
            await every.until(lambda it: it.told)
        async with app.worker(queues=["steps"]) as worker:
            await worker.drain()
        async with serving(create_app(app, auth="off"), port):
            await app.named("step").using(id="three").aenqueue(1)
            await one.until(lambda it: "succeeded" in states(it.told))
            await every.until(lambda it: "three" in str(it.told))
        assert states(one.told) == ["queued", "running", "succeeded"]
        told = [event for _, events in every.told for event in events]
        two = [("state", event) for event in told if event["job_id"] == "two" and is_state(event)]
        assert states(two) == ["queued", "running", "succeeded"]
        unique = {(event["job_id"], event["seq"]) for event in told}
        assert len(unique) == len(told)
        assert min(one.opened, every.opened) >= 2
    await app.aclose()


def is_state(event: Any) -> bool:
    """Whether an event is a change of state."""
    return bool(event["kind"] == "state")


async def test_a_closing_service_ends_its_streams_and_says_when_to_come_again(
    app: Ferryman,
) -> None:
    served = create_app(app, auth="off")
    async with serving(served) as port:
        job = await app.named("step").aenqueue(1)
        url = f"http://127.0.0.1:{port}/api/v1/jobs/{job.id}/events"
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            lines = answer.aiter_lines()
            first = await anext(lines)
            assert COME_AGAIN[0] <= int(first.removeprefix("retry: ")) / 1000 <= COME_AGAIN[1]
            async with asyncio.timeout(10):
                while await anext(lines) != "event: state":
                    pass
                await served.state.service.close()
                assert [line async for line in lines if line.startswith("event")] == []
            again = await client.get(url)
            assert again.status_code == 200
            assert again.text.startswith("retry: ")
    await app.aclose()


def test_who_reads_too_slowly_is_cut() -> None:
    cut: list[bool] = []
    listener = Listener(Wish())
    listener.cut = lambda: cut.append(True)
    fat: Any = tuple(range(ROOM // 2))
    listener.put(Batch("1", fat))
    listener.put(Batch("2", fat))
    assert not listener.over
    listener.put(Batch("3", fat))
    assert (listener.over, listener.slow, cut) == (True, True, [True])


async def test_a_stream_says_where_to_go_on_before_anything_happens(app: Ferryman) -> None:
    served = create_app(app, auth="off")
    # Less than until the first sign of life, which says it too.
    async with serving(served) as port, httpx.AsyncClient(timeout=10) as client:
        url = f"http://127.0.0.1:{port}/api/v1/events"
        async with client.stream("GET", url) as stream:
            place = await anext(line async for line in stream.aiter_lines() if "id:" in line)
        await app.named("step").using(id="meanwhile").aenqueue(1)
        since = {"Last-Event-ID": place.partition(":")[2].strip()}
        async with client.stream("GET", url, headers=since) as stream:
            said = await anext(line async for line in stream.aiter_lines() if "data:" in line)
        assert "meanwhile" in said
    await app.aclose()


async def test_what_is_not_wanted_takes_no_room() -> None:
    listener = Listener(Wish(queue="mine"))
    for number in range(10 * ROOM):
        listener.put(Batch(str(number), ()))
    found = await listener.next(0.01)
    assert found is not None
    assert found.cursor == str(10 * ROOM - 1)
    assert await listener.next(0.01) is None
