"""A worker whose claims wait at the store: its slots, its stops, and replies that get lost."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from ferryman import JobState, current_job
from ferryman.domain.errors import StoreUnavailable
from ferryman.domain.job import Delivery, Job, NewJob, WorkerInfo
from ferryman.stores.base import ClaimRequest, Pace, ProgressUpdate, Verdict
from ferryman.worker import exchange, loop
from ferryman.worker.messages import Why
from tests.contract.model import ModelStore
from tests.worker.direct import Direct, client, directly, eventually
from tests.worker.test_loop import Distant, Gate


class Waiting(Distant):
    """Claims wait in it.

    Attributes:
        waits: how many wait.
        unheard: nobody is roused.
        cut: the next waiting claim breaks at once. When its time is over this job comes, and the
            server makes the claim all the same.
        late: the ids of the jobs that such claims took.
    """

    def __init__(self, way: float = 0.0, pace: Pace | None = None) -> None:
        super().__init__(way, pace)
        self.waits = 0
        self.unheard = False
        self.cut: NewJob | None = None
        self.late: list[str] = []
        self._roused = asyncio.Event()
        self._ghosts: list[asyncio.Task[None]] = []

    async def wait_and_claim(self, request: ClaimRequest, timeout: float) -> list[Delivery]:
        if self.cut:
            ghost = self._claim_late(self.cut, request, timeout)
            self._ghosts.append(asyncio.create_task(ghost))
            self.cut = None
            raise StoreUnavailable("the line broke")
        self.waits += 1
        end = time.monotonic() + timeout
        try:
            while not self._roused.is_set() and time.monotonic() < end:
                if any(queue.queued for queue in await self.queues()):
                    break
                await asyncio.sleep(0.001)
        finally:
            self.waits -= 1
            self._roused.clear()
        return await self.claim(request)

    async def _claim_late(self, job: NewJob, request: ClaimRequest, timeout: float) -> None:
        await asyncio.sleep(timeout)
        # One step: neither call lets anybody else in.
        await ModelStore.submit(self, [job])
        self.late += [one.job_id for one in await ModelStore.claim(self, request)]

    async def rouse(self, request: ClaimRequest) -> None:
        if self.unheard:
            raise StoreUnavailable("nobody there")
        self._roused.set()


@pytest.fixture
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims wait for longer than a test lasts."""
    monkeypatch.setattr(loop, "LONGEST_WAIT", 3600.0)


@pytest.mark.parametrize("fault", ["lose", "refuse"])
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("pace", [Pace(), Pace(exchanges=3)])
async def test_lost_calls_lose_no_job_and_run_none_twice(
    fault: str, times: int, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LEAST_SHARE", 1)
    app, store = client(), Waiting(0.0005, pace)
    runs: list[int] = []

    @app.task
    async def work(number: int) -> None:
        runs.append(number)
        if number % 5 == 0:
            setattr(store, fault, times)
        await asyncio.sleep(0.2 if number % 5 == 1 else 0.001)

    async with directly(app, store, concurrency=4) as direct:
        jobs = []
        for number in range(20):
            jobs.append(await direct.submit("work", number))
            await asyncio.sleep(0.005 * (number % 3))  # some meet a claim that waits
        for job in jobs:
            ended = await direct.ended(job, 20)
            assert (ended.state, ended.attempts, ended.kills) == (JobState.SUCCEEDED, 0, 0)
    assert sorted(runs) == list(range(20))


async def test_what_a_lost_reply_brought_is_handed_back() -> None:
    app, store = client(lease=3600), Waiting()

    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    async with directly(app, store) as direct:
        await eventually(lambda: store.waits == 1)
        store.lose = 1
        ended = await direct.ended(await direct.submit("work"))
        assert (ended.state, ended.deliveries, ended.kills) == (JobState.SUCCEEDED, 2, 0)


@pytest.mark.usefixtures("for_ever")
async def test_no_more_is_claimed_than_can_run() -> None:
    app, store, gate = client(), Waiting(0.002, Pace(exchanges=3)), Gate()

    @app.task
    async def wait() -> None:
        await gate.wait()

    @app.task
    async def quick() -> None:
        await asyncio.sleep(0)

    async with directly(app, store, concurrency=6) as direct:
        long = []
        for _ in range(4):  # one at a time, so that each finds a claim that waits
            await eventually(lambda: store.waits == 1)
            long.append(await direct.submit("wait"))
            await gate.entered(len(long))
        jobs = [await direct.submit("quick") for _ in range(50)]
        await asyncio.gather(*map(direct.ended, jobs))
        gate.out.set()
        await asyncio.gather(*map(direct.ended, long))
    assert store.most_running == 6


async def test_a_claim_that_is_made_long_after_its_line_broke_is_handed_back_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "LONGEST_WAIT", 0.5)
    monkeypatch.setattr(exchange, "LATE", 0.1)
    app, store = client(lease=3600), Waiting()

    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    job = store.cut = app.named("work").new_job((), {})
    async with directly(app, store) as direct:
        await eventually(lambda: store.late == [job.id])
        ended = await direct.reached(job.id, "succeeded")
    assert (ended.deliveries, ended.attempts, ended.kills) == (2, 0, 0)


@pytest.mark.usefixtures("for_ever")
@pytest.mark.parametrize("unheard", [False, True])
async def test_who_leaves_waits_for_no_job(unheard: bool) -> None:
    app, store = client(), Waiting()

    @app.task
    async def work() -> None:
        raise AssertionError("it leaves")

    async with directly(app, store, grace=3600) as direct:
        await eventually(lambda: store.waits == 1)
        store.unheard = unheard
        direct.worker.stop(3600)
        async with asyncio.timeout(10):
            assert await direct.running is Why.STOPPED
        assert store.waits == 0
        job = await direct.submit("work")
        assert [one.id for one in await store.get([job]) if one and one.state == "queued"] == [job]


@pytest.mark.usefixtures("for_ever")
async def test_who_is_old_waits_for_no_job() -> None:
    app, store = client(), Waiting()

    @app.task
    async def work() -> None:
        raise AssertionError("none comes")

    async with directly(app, store, max_lifetime=0.2) as direct:
        async with asyncio.timeout(10):
            assert await direct.running is Why.RECYCLED
        assert store.waits == 0


async def test_lost_jobs_are_looked_for_although_a_claim_always_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "LONGEST_WAIT", 0.05)
    app, store = client(lease=0.2, sweep=0.1), Waiting()
    while_running: list[Job] = []

    @app.task
    async def work() -> None:
        while_running.append(store.data.records[current_job().id].job)

    async with directly(app, store) as direct:
        await eventually(lambda: store.waits == 1)
        job = await direct.submit("work")
        await direct.ended(job)
        # A power failure takes the last second: the server is where it was a moment before.
        store.data.records[job].job = while_running[0]
        await eventually(lambda: len(while_running) == 2)


@pytest.mark.usefixtures("for_ever")
async def test_who_is_to_drain_gets_his_slots_back() -> None:
    app, store = client(), Waiting()

    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    async with directly(app, store, concurrency=1) as direct:
        for _ in range(2):
            await eventually(lambda: store.waits == 1)
            job = await direct.submit("work")
            async with asyncio.timeout(10):
                assert await direct.worker.drain()
            [ended] = await store.get([job])
            assert ended is not None
            assert ended.state is JobState.SUCCEEDED
            direct.worker._work_may_be_there()


class Stuck(Distant):
    """Reports get there, and claims come back, when the test says so; what is handed back gets
    there after all else."""

    def __init__(self) -> None:
        super().__init__(pace=Pace(exchanges=2))
        self.reporting = self.replying = False
        self.reports, self.replies = asyncio.Event(), asyncio.Event()
        self.replies.set()

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        brought = await super().claim(request)
        self.replying = bool(brought)
        await self.replies.wait()
        return brought

    async def progress(self, updates: Sequence[ProgressUpdate]) -> list[Verdict]:
        self.reporting = True
        await self.reports.wait()
        return await super().progress(updates)

    async def hand_back(self, worker: WorkerInfo, **how: Any) -> list[tuple[str, JobState]]:
        for _ in range(50):  # turns of the loop, and no time: claims of this moment get there
            await asyncio.sleep(0)
        return await super().hand_back(worker, **how)


def time_to_look(direct: Direct) -> None:
    """It is time to look for lost jobs."""
    direct.worker._exchange.look_again_at = 0.0
    direct.worker._wake.set()


class StuckWaiting(Stuck, Waiting):
    """Claims wait in it, too."""


async def test_what_a_claim_brings_while_it_becomes_time_to_look_for_lost_jobs_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "LEAST_SHARE", 1)
    app, store, gate = client(lease=3600), StuckWaiting(), Gate()
    report = asyncio.Event()

    @app.task
    async def work() -> None:
        await report.wait()
        current_job().progress(1, 2)
        await gate.wait()

    async with directly(app, store, concurrency=4) as direct:
        first = await direct.submit("work")
        await direct.reached(first, "running")
        await eventually(lambda: store.waits == 1)
        report.set()
        direct.worker._work_may_be_there()  # a call that must wait for the report, and then
        await eventually(lambda: store.reporting and not store.waits)  # a claim that must, too
        time_to_look(direct)
        second = await direct.submit("work")
        store.reports.set()
        gate.out.set()
        ended = [await direct.ended(job) for job in (first, second)]
        assert [job.deliveries for job in ended] == [1, 1]


async def test_no_claim_waits_while_lost_jobs_are_looked_for() -> None:
    app, store, gate = client(lease=3600), StuckWaiting(), Gate()

    @app.task
    async def work() -> None:
        current_job().progress(1, 2)
        await gate.wait()

    async with directly(app, store) as direct:
        first = await direct.submit("work")
        await eventually(lambda: store.reporting)  # before a claim that is to wait for others
        time_to_look(direct)
        await eventually(lambda: direct.worker._under_way == 1)
        second = await direct.submit("work")
        store.reports.set()
        gate.out.set()
        ended = [await direct.ended(job) for job in (first, second)]
        assert [job.deliveries for job in ended] == [1, 1]


async def test_what_a_claim_under_way_brings_is_not_handed_back_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "LEAST_SHARE", 1)
    app, store, gate = client(lease=3600), Stuck(), Gate()
    end = asyncio.Event()

    @app.task
    async def short() -> None:
        await end.wait()
        current_job().progress(1, 2)

    @app.task
    async def work() -> None:
        await gate.wait()

    async with directly(app, store, concurrency=4) as direct:
        jobs = [await direct.submit("short") for _ in range(2)]
        for job in jobs:
            await direct.reached(job, "running")
        store.replies.clear()
        store.replying = False
        jobs.append(await direct.submit("work"))
        direct.worker._work_may_be_there()
        await eventually(lambda: store.replying)  # the store has made the claim
        end.set()
        await eventually(lambda: store.reporting and direct.worker._under_way == 2)
        time_to_look(direct)
        store.reports.set()
        await direct.ended(jobs[0])
        store.replies.set()
        gate.out.set()
        ended = [await direct.ended(job) for job in jobs]
        assert [job.deliveries for job in ended] == [1, 1, 1]
