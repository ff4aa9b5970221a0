"""Leases: kept, lost and given up."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from ferryman.domain.errors import StoreUnavailable
from ferryman.domain.job import NewJob, WorkerInfo
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import ClaimRequest, Renewal
from ferryman.worker.keeper import Keeper
from ferryman.worker.keeping import default_name, new_identity
from ferryman.worker.upkeep import Upkeep
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.worker.direct import eventually

LEASE = 1.5


class Away(ModelStore):
    """A store that can be out of reach: calls fail, or never come back."""

    def __init__(self) -> None:
        super().__init__(ModelData(), lambda: time.time_ns() // 1_000_000)
        self.mode = "there"
        self.renewals = 0
        self.reaps = 0

    async def _reach(self) -> None:
        if self.mode == "gone":
            raise StoreUnavailable("nobody there")
        if self.mode == "black hole":
            await asyncio.sleep(3600)

    async def register(self, worker: WorkerInfo, lease: float) -> None:
        await self._reach()
        await super().register(worker, lease)

    async def renew(self, worker: WorkerInfo, lease: float) -> Renewal:
        await self._reach()
        self.renewals += 1
        return await super().renew(worker, lease)

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        await self._reach()
        self.reaps += 1
        return await super().reap(limit)


class Holder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.cancelled: set[tuple[str, int]] = set()
        self.lost = asyncio.Event()

    def cancel(self, jobs: tuple[tuple[str, int], ...]) -> None:
        """Remember them."""
        self.cancelled |= set(jobs)

    claimed_at: float | None = None

    def lease_lost(self) -> None:
        """Remember it."""
        self.lost.set()


@pytest.fixture
def store() -> Away:
    """A store within reach."""
    return Away()


@pytest.fixture
async def keeper(store: Away) -> AsyncIterator[Keeper]:
    """A keeper of short leases."""
    keeper = Keeper(store, Settings(lease=LEASE, sweep=0.1, store_timeout=10))
    yield keeper
    await keeper.close()


def identity() -> WorkerInfo:
    """A worker that nobody had before."""
    return new_identity(default_name(1), 1, ("default",), 5)


async def running_job(store: ModelStore, info: WorkerInfo) -> str:
    """A job that runs under this worker."""
    await store.submit([NewJob(id="job-1", task="t", queue="default", args=b"[[],{}]")])
    await store.claim(ClaimRequest(worker=info.id, queues=("default",), limit=1))
    return "job-1"


async def test_a_lease_is_renewed_for_as_long_as_it_is_wanted(store: Away, keeper: Keeper) -> None:
    info, holder = identity(), Holder()
    await keeper.enroll(info, holder)
    await asyncio.sleep(3 * LEASE)
    [status] = await store.workers()
    assert status.live
    assert not holder.lost.is_set()
    await keeper.release(info, kill=False)
    assert await store.workers() == []


async def test_an_outage_shorter_than_the_lease_is_survived(store: Away, keeper: Keeper) -> None:
    info, holder = identity(), Holder()
    await keeper.enroll(info, holder)
    store.mode = "gone"
    await asyncio.sleep(LEASE / 3)
    store.mode = "there"
    before = store.renewals
    await eventually(lambda: store.renewals > before)
    assert not holder.lost.is_set()


@pytest.mark.parametrize("mode", ["gone", "black hole"])
async def test_a_lease_is_lost_by_the_own_clock(store: Away, keeper: Keeper, mode: str) -> None:
    info, holder = identity(), Holder()
    await keeper.enroll(info, holder)
    store.mode = mode
    moment = time.monotonic()
    async with asyncio.timeout(20):
        await holder.lost.wait()
    # Not before it is over, and soon after: somebody else may have its jobs by now.
    assert LEASE * 0.7 < time.monotonic() - moment < LEASE * 5


async def test_a_lease_that_the_store_ended_is_lost(store: Away, keeper: Keeper) -> None:
    info, holder = identity(), Holder()
    await keeper.enroll(info, holder)
    await store.unregister(info)
    async with asyncio.timeout(20):
        await holder.lost.wait()


async def test_a_request_to_cancel_reaches_the_holder(store: Away, keeper: Keeper) -> None:
    info, holder = identity(), Holder()
    await keeper.enroll(info, holder)
    job_id = await running_job(store, info)
    await store.cancel([job_id], by="someone")
    await eventually(lambda: [job for job, _ in holder.cancelled] == [job_id])


@pytest.mark.parametrize(
    ("kill", "spare", "kills"), [(True, (), 1), (True, ("job-1",), 0), (False, (), 0)]
)
async def test_what_a_worker_left_is_handed_back(
    store: Away, keeper: Keeper, kill: bool, spare: tuple[str, ...], kills: int
) -> None:
    info = identity()
    await keeper.enroll(info, Holder())
    job_id = await running_job(store, info)
    await keeper.release(info, kill=kill, spare=spare)
    [job] = await store.get([job_id])
    assert job is not None
    assert (job.state, job.kills, job.attempts) == (JobState.QUEUED, kills, 0)


async def test_registering_waits_for_the_store(store: Away, keeper: Keeper) -> None:
    store.mode = "gone"
    enrolling = asyncio.create_task(keeper.enroll(identity(), Holder()))
    await asyncio.sleep(0.05)
    assert not enrolling.done()
    store.mode = "there"
    async with asyncio.timeout(20):
        assert await enrolling


async def test_after_an_outage_reapers_wait_for_the_owners(store: Away) -> None:
    """Those who lived through it hand their jobs back at no charge, a reaper at that of a kill."""
    upkeep = asyncio.create_task(Upkeep(store, Settings(lease=LEASE, sweep=0.02)).run())
    await eventually(lambda: store.reaps > 0)
    store.mode = "gone"
    await asyncio.sleep(0.1)
    store.mode = "there"
    back, before = time.monotonic(), store.reaps
    await eventually(lambda: store.reaps > before)
    assert time.monotonic() - back > LEASE * 0.9
    upkeep.cancel()
    await asyncio.gather(upkeep, return_exceptions=True)
