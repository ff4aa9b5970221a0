"""Jobs that are gathered: who shares a call, and what of it he shares."""

import asyncio

import pytest

from ferryman.domain.errors import StoreError, StoreUnavailable
from ferryman.domain.job import Submitted
from ferryman.stores.gathering import BATCH_BYTES, Answer, Gathering


class Calls:
    """Calls that end when they are let; each item is answered with itself."""

    def __init__(self) -> None:
        self.parts: list[list[bytes]] = []
        self.error: Exception | None = None
        self.let = asyncio.Event()

    async def send(self, items: object) -> list[Answer]:
        self.parts.append(list(items))  # type: ignore[call-overload]
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return [Submitted(item.decode(), "q", True) for item in self.parts[-1]]


async def _under_way(calls: Calls, *items: bytes) -> list["asyncio.Task[Submitted]"]:
    gathering: Gathering[bytes] = Gathering(calls.send, len)
    first = asyncio.create_task(gathering.submit(items[0]))
    while not calls.parts:  # noqa: ASYNC110 - it takes some turns of the loop
        await asyncio.sleep(0)
    others = [asyncio.create_task(gathering.submit(item)) for item in items[1:]]
    await asyncio.sleep(0)
    return [first, *others]


async def test_those_that_come_meanwhile_share_the_next_call() -> None:
    calls = Calls()
    tasks = await _under_way(calls, b"a", b"b", b"c")
    calls.let.set()
    assert [one.job_id for one in await asyncio.gather(*tasks)] == ["a", "b", "c"]
    assert calls.parts == [[b"a"], [b"b", b"c"]]


async def test_a_caller_that_is_cancelled_takes_nobody_along() -> None:
    calls = Calls()
    first, second, third = await _under_way(calls, b"a", b"b", b"c")
    first.cancel()
    second.cancel()
    calls.let.set()
    assert (await third).job_id == "c"
    assert calls.parts == [[b"a"], [b"c"]]


async def test_a_call_is_bounded_in_bytes() -> None:
    calls = Calls()
    half = b"x" * (BATCH_BYTES // 2 + 1)
    tasks = await _under_way(calls, b"a", half, half, half + half, b"b")
    calls.let.set()
    await asyncio.gather(*tasks)
    assert [len(part) for part in calls.parts] == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("error", [StoreError("refused"), StoreUnavailable("away")])
async def test_a_call_that_fails_fails_for_those_who_shared_it(error: StoreError) -> None:
    calls = Calls()
    calls.error = error
    tasks = await _under_way(calls, b"a", b"b", b"c")
    calls.let.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in answers] == [type(error)] * 3
    # Who waits for a server that is away need not try it for himself.
    assert len(calls.parts) == (1 if isinstance(error, StoreUnavailable) else 2)
