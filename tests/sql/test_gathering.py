"""Single jobs that many submit at once: they share transactions, and nothing else."""

import asyncio

import pytest

from ferryman.domain.errors import JobExists, StoreError, StoreUnavailable
from ferryman.domain.job import Submitted
from ferryman.settings import Settings
from ferryman.stores.gathering import MOST_BYTES, Gathering
from ferryman.stores.sql.store import SqlStore
from tests.contract.world import new_job
from tests.sql.plans import statements


async def test_a_hundred_at_once_share_transactions(ticking: SqlStore) -> None:
    with statements() as seen:
        answers = await asyncio.gather(*(ticking.submit([new_job(f"a{n}")]) for n in range(100)))
    assert [one.created for (one,) in answers] == [True] * 100
    assert len(seen) <= 10


async def test_a_refused_job_is_refused_alone(ticking: SqlStore) -> None:
    jobs = [new_job(f"a{n}", unique="k" if n % 10 == 5 else None) for n in range(50)]
    answers = await asyncio.gather(*(ticking.submit([job]) for job in jobs), return_exceptions=True)
    for job, answer in zip(jobs, answers, strict=True):
        if job.unique is None or job.id == "a5":
            assert answer == [Submitted(job.id, "default", True)]
        else:
            assert isinstance(answer, JobExists)
            assert answer.job_id == "a5"
    assert len([job for job in await ticking.get([job.id for job in jobs]) if job]) == 46


async def test_a_job_that_cannot_be_stored_is_refused_alone(ticking: SqlStore) -> None:
    jobs = [new_job("a"), new_job("b", unique="half of a pair: \ud800"), new_job("c")]
    answers = await asyncio.gather(*(ticking.submit([job]) for job in jobs), return_exceptions=True)
    assert answers[0] == [Submitted("a", "default", True)]
    assert isinstance(answers[1], Exception)
    assert answers[2] == [Submitted("c", "default", True)]


class Calls:
    """Calls that end when they are let; each item is answered with itself."""

    def __init__(self) -> None:
        self.parts: list[list[bytes]] = []
        self.error: Exception | None = None
        self.let = asyncio.Event()

    async def send(self, items: object) -> list[bytes | Exception]:
        self.parts.append(list(items))  # type: ignore[call-overload]
        await self.let.wait()
        if self.error is not None:
            raise self.error
        return list(self.parts[-1])


async def _under_way(calls: Calls, *items: bytes) -> list["asyncio.Task[bytes]"]:
    gathering: Gathering[bytes, bytes] = Gathering(calls.send, len)
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
    assert await asyncio.gather(*tasks) == [b"a", b"b", b"c"]
    assert calls.parts == [[b"a"], [b"b", b"c"]]


async def test_a_caller_that_is_cancelled_takes_nobody_along() -> None:
    calls = Calls()
    first, second, third = await _under_way(calls, b"a", b"b", b"c")
    first.cancel()
    second.cancel()
    calls.let.set()
    assert await third == b"c"
    assert calls.parts == [[b"a"], [b"c"]]


async def test_a_call_is_bounded_in_bytes() -> None:
    calls = Calls()
    half = b"x" * (MOST_BYTES // 2 + 1)
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


async def test_a_store_that_closes_answers_first(settings: Settings) -> None:
    store = SqlStore(settings)
    await store.open()
    submitting = asyncio.create_task(store.submit([new_job("a")]))
    await asyncio.sleep(0)
    await store.close()
    assert (await submitting)[0].created
