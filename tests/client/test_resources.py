"""Resources are set up once, shared, and torn down."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import pytest

from ferryman import ConfigError, Ferryman, JobContext, NoCurrentJob, current_job
from ferryman.client.resources import LiveResources, Resource


@pytest.fixture
def log() -> list[str]:
    return []


def _plain(log: list[str]) -> Resource:
    def plain() -> str:
        log.append("up")
        return "value"

    return Resource(plain)


def _generator(log: list[str]) -> Resource:
    def generator() -> Iterator[str]:
        log.append("up")
        yield "value"
        log.append("down")

    return Resource(generator)


def _coroutine(log: list[str]) -> Resource:
    async def coroutine() -> str:
        log.append("up")
        return "value"

    return Resource(coroutine)


def _async_generator(log: list[str]) -> Resource:
    async def async_generator() -> AsyncIterator[str]:
        log.append("up")
        yield "value"
        log.append("down")

    return Resource(async_generator)


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("make", [_plain, _generator, _coroutine, _async_generator])
async def test_many_jobs_share_one_set_up(make: object, in_thread: bool, log: list[str]) -> None:
    assert callable(make)
    resource: Resource = make(log)
    live = LiveResources(in_thread=in_thread)

    assert await asyncio.gather(*(live.get(resource) for _ in range(20))) == ["value"] * 20
    assert log == ["up"]
    await live.close()
    assert log == (["up", "down"] if "generator" in resource.name else ["up"])


async def test_resources_go_down_in_reverse_order(log: list[str]) -> None:
    def make(name: str) -> Resource:
        def factory() -> Iterator[str]:
            yield name
            log.append(name)

        return Resource(factory)

    live = LiveResources(in_thread=True)
    await live.load([make("first"), make("second")])
    await live.close()

    assert log == ["second", "first"]


async def test_a_set_up_that_failed_is_tried_again(log: list[str]) -> None:
    def flaky() -> str:
        log.append("try")
        if len(log) == 1:
            raise OSError("not yet")
        return "value"

    resource, live = Resource(flaky), LiveResources(in_thread=True)

    with pytest.raises(OSError, match="not yet"):
        await live.get(resource)
    assert await live.get(resource) == "value"


async def test_a_cancelled_job_does_not_take_the_set_up_from_others(log: list[str]) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await go_on.wait()
        return "value"

    resource, live = Resource(slow), LiveResources(in_thread=True)
    first = asyncio.create_task(live.get(resource))
    second = asyncio.create_task(live.get(resource))
    await begun.wait()
    first.cancel()
    go_on.set()

    assert await second == "value"
    with pytest.raises(asyncio.CancelledError):
        await first


def test_injected_parameters_are_not_the_callers() -> None:
    app = Ferryman("sqlite://")

    @app.resource
    def engine() -> str:
        return "engine"

    @app.task
    def read(number: int, context: JobContext, *, ocr: Annotated[str, engine]) -> int:
        return number

    assert read.resources == {"ocr": engine}
    assert read.context_parameter == "context"
    assert read.new_job((1,), {}).args == b"[[1],{}]"


def test_names_are_taken_once() -> None:
    app = Ferryman("sqlite://")

    @app.task(name="read")
    def one() -> None: ...

    with pytest.raises(ConfigError, match="read"):

        @app.task(name="read")
        def two() -> None: ...


def test_there_is_no_current_job_outside_of_one() -> None:
    with pytest.raises(NoCurrentJob):
        current_job()
