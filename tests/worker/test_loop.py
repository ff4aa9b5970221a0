"""The worker's loop: slots, stops, and a store whose replies get lost."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import pytest

from ferryman import JobContext, JobState, Reason, current_job
from ferryman.domain.errors import LeaseLost, StoreUnavailable
from ferryman.domain.job import Delivery, Job, NewJob
from ferryman.domain.outcomes import Ending
from ferryman.stores.base import ClaimRequest, Pace, Verdict
from ferryman.worker import loop
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.worker.direct import Direct, client, directly, eventually, model_store


class Gate:
    """Jobs that wait in here until they are let out."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.out = threading.Event()

    def __enter__(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        self.inside -= 1

    async def entered(self, count: int) -> None:
        """Return once so many are inside."""
        await eventually(lambda: self.inside == count)

    async def wait(self) -> None:
        """What a job on the loop does in here."""
        with self:
            await eventually(self.out.is_set)


async def test_no_more_is_claimed_than_can_run() -> None:
    app, gate = client(), Gate()

    @app.task
    async def wait() -> None:
        await gate.wait()

    async with directly(app, concurrency=3) as direct:
        jobs = [await direct.submit("wait") for _ in range(10)]
        await gate.entered(3)
        [info] = await direct.store.queues()
        assert (info.running, info.queued) == (3, 7)
        gate.out.set()
        for job in jobs:
            await direct.ended(job)
    assert gate.most == 3


async def test_a_coroutine_that_swallows_its_cancellation_is_cancelled_again() -> None:
    app = client()
    swallowed = 0

    @app.task
    async def stubborn() -> str:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    async with directly(app, concurrency=1, cancel_grace=0.05) as direct:
        job_id = await direct.submit("stubborn")
        job = await direct.reached(job_id, "running")
        direct.worker.cancel([(job_id, job.token)])
        ended = await direct.ended(job_id)
        assert (ended.state, ended.reason) == (JobState.CANCELLED, Reason.CANCELLED_BY)
        # Its slot comes back once it has really ended.
        assert swallowed < 3
        assert not direct.worker.clean
        await eventually(lambda: direct.worker.clean)


async def test_a_job_that_returns_although_it_was_cancelled_has_succeeded() -> None:
    app = client()

    @app.task
    async def quick_to_finish() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            assert current_job().cancelled
        return "saved"

    async with directly(app) as direct:
        job_id = await direct.submit("quick_to_finish")
        job = await direct.reached(job_id, "running")
        direct.worker.cancel([(job_id, job.token)])
        direct.worker.cancel([(job_id, job.token)])  # the keeper repeats itself
        ended = await direct.ended(job_id)
    assert (ended.state, ended.result) == (JobState.SUCCEEDED, b'"saved"')


async def test_a_cancel_for_another_token_is_not_for_this_delivery() -> None:
    app, gate = client(), Gate()

    @app.task
    async def wait(context: JobContext) -> None:
        await gate.wait()
        assert not context.cancelled

    async with directly(app) as direct:
        job_id = await direct.submit("wait")
        job = await direct.reached(job_id, "running")
        direct.worker.cancel([(job_id, job.token - 1)])
        gate.out.set()
        assert (await direct.ended(job_id)).state is JobState.SUCCEEDED


async def test_a_thread_keeps_its_slot_after_its_time_out() -> None:
    app, gate = client(), Gate()

    @app.task(timeout=0.05)
    def endless() -> str:
        with gate:
            gate.out.wait(10)
        return "late"

    @app.task
    async def next_one() -> int:
        return gate.inside

    async with directly(app, concurrency=1) as direct:
        late, after = await direct.submit("endless"), await direct.submit("next_one")
        ended = await direct.ended(late)
        assert (ended.reason, ended.result) == (Reason.TIMEOUT, None)
        [waiting] = await direct.store.get([after])
        assert waiting is not None
        assert waiting.state is JobState.QUEUED
        gate.out.set()
        assert (await direct.ended(after)).result == b"0"
        [ended_still] = await direct.store.get([late])
        assert ended_still == ended, "the late result does not count"


async def test_a_cancelled_thread_is_recorded_after_its_grace() -> None:
    app, gate = client(), Gate()

    @app.task
    def deaf() -> None:
        with gate:
            gate.out.wait(10)

    async with directly(app, cancel_grace=0.05) as direct:
        job_id = await direct.submit("deaf")
        await gate.entered(1)
        job = await direct.reached(job_id, "running")
        direct.worker.cancel([(job_id, job.token)])
        assert (await direct.ended(job_id)).state is JobState.CANCELLED
        assert gate.inside == 1
        gate.out.set()


async def test_loading_resources_does_not_count_towards_the_time_out() -> None:
    app = client()

    @app.resource
    async def slow() -> str:
        await asyncio.sleep(1.2)
        return "loaded"

    async def use(engine: Any) -> str:
        return str(engine)

    use.__annotations__["engine"] = Annotated[str, slow]
    app.task(timeout=0.8)(use)

    async with directly(app) as direct:
        assert (await direct.ended(await direct.submit("use"))).result == b'"loaded"'


async def test_what_cannot_be_stopped_in_time_is_left_to_the_keeper() -> None:
    app, gate = client(), Gate()

    @app.task
    def deaf() -> None:
        with gate:
            gate.out.wait(10)

    @app.task
    async def polite() -> None:
        await asyncio.sleep(60)

    async with directly(app) as direct:
        deaf_id, polite_id = await direct.submit("deaf"), await direct.submit("polite")
        await gate.entered(1)
        await direct.reached(polite_id, "running")
        direct.worker.stop(0)
        back = await direct.reached(polite_id, "queued")
        assert (back.attempts, back.kills, back.reason) == (0, 0, Reason.HANDED_BACK)
        [running] = await direct.store.get([deaf_id])
        assert running is not None
        assert running.state is JobState.RUNNING
        gate.out.set()


@pytest.mark.parametrize("how", ["keeper", "claim"])
async def test_a_lost_lease_ends_the_worker(how: str) -> None:
    app = client()
    unwound = asyncio.Event()

    @app.task
    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            unwound.set()

    async def lose_it(direct: Direct) -> None:
        await direct.reached(await direct.submit("wait"), "running")
        if how == "keeper":
            direct.worker.lose_lease()
        else:
            [status] = await direct.store.workers()
            await direct.store.register(status.info, -1)
            await direct.submit("wait")
        await asyncio.wait([direct.running], timeout=5)
        await direct.worker.abandon()
        assert unwound.is_set()

    async def run() -> None:
        async with directly(app) as direct:
            await lose_it(direct)

    with pytest.raises(LeaseLost):
        await run()


async def test_jobs_wait_until_a_process_retires() -> None:
    app = client()

    @app.task
    async def one() -> int:
        return 1

    async with directly(app, max_jobs=3, concurrency=2) as direct:
        jobs = [await direct.submit("one") for _ in range(5)]
        for job in jobs[:3]:
            await direct.ended(job)
        [info] = await direct.store.queues()
        assert (info.succeeded, info.queued) == (3, 2)


class Distant(ModelStore):
    """A model at the end of a long line, which may lose replies: the call was made all the same.

    Attributes:
        way: seconds that a call takes to get there, and its reply to come back.
        lose: so many replies are lost.
        refuse: so many calls never get there.
        most_running: the most jobs that ran at any moment, in the eyes of the store.
        most_calls: the most calls that were under way at any moment.
    """

    def __init__(self, way: float = 0.0, pace: Pace | None = None) -> None:
        super().__init__(ModelData(), lambda: time.time_ns() // 1_000_000)
        self.pace = pace or Pace()
        self.way = way
        self.lose = self.refuse = 0
        self.most_running = self.most_calls = self._calls = 0

    @contextlib.asynccontextmanager
    async def _line(self) -> AsyncIterator[None]:
        self._calls += 1
        self.most_calls = max(self.most_calls, self._calls)
        try:
            await asyncio.sleep(self.way)
            if self.refuse:
                self.refuse -= 1
                raise StoreUnavailable("nobody there")
            yield
            running = sum(queue.running for queue in await self.queues())
            self.most_running = max(self.most_running, running)
            if self.lose:
                self.lose -= 1
                raise StoreUnavailable("the reply was lost")
            await asyncio.sleep(self.way)
        finally:
            self._calls -= 1

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        async with self._line():
            return await super().claim(request)

    async def finish(self, endings: Sequence[Ending]) -> list[Verdict]:
        async with self._line():
            return await super().finish(endings)

    async def finish_and_claim(
        self, endings: Sequence[Ending], request: ClaimRequest
    ) -> tuple[list[Verdict], list[Delivery]]:
        async with self._line():
            verdicts = await ModelStore.finish(self, endings)
            return verdicts, await ModelStore.claim(self, request)


PACES = [Pace(), Pace(exchanges=3), Pace(linger=0.002)]


@pytest.mark.parametrize("fault", ["lose", "refuse"])
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("pace", PACES)
async def test_lost_calls_lose_no_job_and_run_none_twice(
    fault: str, times: int, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LEAST_SHARE", 1)
    app, store = client(), Distant(0.0005, pace)
    runs: list[int] = []

    @app.task
    async def work(number: int) -> None:
        runs.append(number)
        if number % 5 == 0:
            setattr(store, fault, times)
        # Some outlast the time until the store is asked again what was lost.
        await asyncio.sleep(0.5 if number % 5 == 1 else 0.001)

    async with directly(app, store, concurrency=4) as direct:
        jobs = [await direct.submit("work", number) for number in range(20)]
        for job in jobs:
            ended = await direct.ended(job, 20)
            assert (ended.state, ended.attempts, ended.kills) == (JobState.SUCCEEDED, 0, 0)
    assert sorted(runs) == list(range(20))


async def test_calls_beside_one_another_ask_for_no_more_than_can_run() -> None:
    app, store = client(), Distant(0.003, Pace(exchanges=2))

    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    async with directly(app, store, concurrency=40) as direct:
        jobs = [await direct.submit("work") for _ in range(400)]
        await asyncio.gather(*map(direct.ended, jobs))
    assert store.most_calls == 2
    assert store.most_running == 40


async def test_an_ending_alone_waits_for_no_other() -> None:
    """It shares a call with those that end while that is under way, and with none else."""
    app, store, gate = client(), Distant(0.05, Pace(exchanges=2)), Gate()
    ended: list[int] = []

    @app.task
    async def work(number: int) -> None:
        if number:
            await gate.wait()
        ended.append(number)

    async with directly(app, store, concurrency=40) as direct:
        long = [await direct.submit("work", number) for number in range(1, 4)]
        await gate.entered(3)
        short = await direct.submit("work", 0)
        assert (await direct.ended(short)).state is JobState.SUCCEEDED
        assert ended == [0]
        gate.out.set()
        await asyncio.gather(*map(direct.ended, long))
        assert store.most_calls == 1


async def test_endings_wait_for_others_only_while_they_are_few() -> None:
    app, store, gate = client(), Distant(pace=Pace(linger=3600)), Gate()

    @app.task
    async def work(number: int) -> None:
        if number:
            await gate.wait()

    @app.task
    async def last() -> None:
        await asyncio.sleep(3600)

    async with directly(app, store, concurrency=40) as direct:
        await direct.submit("last")
        many = [await direct.submit("work", n) for n in range(1, loop.LEAST_SHARE)]
        await gate.entered(len(many))
        gate.out.set()
        await eventually(lambda: gate.inside == 0)
        info = await direct.store.queues()
        assert [queue.running for queue in info] == [loop.LEAST_SHARE]
        many.append(await direct.submit("work", 0))
        await asyncio.gather(*map(direct.ended, many))


class Hinting(ModelStore):
    """Gives each hint once, and never without reason.

    Attributes:
        waits: how often somebody began to wait for a hint.
        hint: set by whoever gives one.
        behind: a job that comes, with a hint, right behind the claim that follows.
    """

    def __init__(self) -> None:
        super().__init__(ModelData(), lambda: time.time_ns() // 1_000_000)
        self.waits = 0
        self.hint = asyncio.Event()
        self.behind: NewJob | None = None

    async def wait_for_work(self, queues: Sequence[str], timeout: float) -> None:
        self.waits += 1
        await self.hint.wait()
        self.hint.clear()

    async def finish_and_claim(
        self, endings: Sequence[Ending], request: ClaimRequest
    ) -> tuple[list[Verdict], list[Delivery]]:
        both = await super().finish_and_claim(endings, request)
        if self.behind is not None:
            await self.submit([self.behind])
            self.behind = None
            self.hint.set()
            await eventually(lambda: not self.hint.is_set())
        return both


async def test_a_hint_that_comes_while_a_claim_is_under_way_is_not_forgotten() -> None:
    app, store, gate = client(), Hinting(), Gate()

    @app.task
    async def work() -> None:
        await gate.wait()

    async with directly(app, store) as direct:
        first = await direct.submit("work")
        store.hint.set()
        await gate.entered(1)
        await eventually(lambda: not store.hint.is_set() and store.waits > 0)
        second = store.behind = app.named("work").new_job((), {})
        gate.out.set()
        await direct.ended(first)
        await direct.reached(second.id, "succeeded")


async def test_a_job_whose_ending_the_server_forgot_runs_again() -> None:
    app, store = client(lease=0.2, sweep=0.1), model_store()
    while_running: list[Job] = []

    @app.task
    async def work() -> None:
        while_running.append(store.data.records[current_job().id].job)

    async with directly(app, store) as direct:
        job = await direct.submit("work")
        await direct.ended(job)
        # A power failure takes the last second: the server is where it was a moment before.
        store.data.records[job].job = while_running[0]
        await eventually(lambda: len(while_running) == 2)
        ended = await direct.ended(job)
        assert (ended.deliveries, ended.attempts, ended.kills) == (2, 0, 0)
