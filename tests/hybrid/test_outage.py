"""T4: with the lane down, jobs are taken in and run; when it is back, it is used again."""

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest

from ferryman.domain.job import WorkerInfo, WorkerStatus
from ferryman.stores.base import ClaimRequest
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.hybrid.tuning import Tuning
from tests.contract.world import ending, new_job
from tests.hybrid.conftest import LANE_ONLY, OpenStore
from tests.hybrid.lane_server import LaneServer
from tests.hybrid.test_lane_loss import first_offered, worker
from tests.proxy import Proxy

USUAL = Tuning(call_limit=1.0, probe_first=0.05, probe_longest=0.1, steady=0.3)

PATIENT = Tuning(call_limit=30, probe_first=60)
"""Takes no slow machine for a lane that is down, and does not try again."""


@pytest.fixture
def proxy(lane: LaneServer) -> Iterator[Proxy]:
    """What stands between the store and its lane."""
    with Proxy(lane.url) as value:
        yield value


@pytest.fixture
async def store(open_store: OpenStore, proxy: Proxy) -> HybridStore:
    """A store that reaches its lane through the proxy."""
    return await open_store(USUAL, lane=proxy.url)


async def run_one(store: HybridStore, request: ClaimRequest, job_id: str) -> None:
    """Enqueue a job and run it."""
    await store.submit([new_job(job_id)])
    async with asyncio.timeout(30):
        while not (deliveries := await store.claim(request)):
            await store.wait_for_work(request.queues, 0.05)
    assert [one.job_id for one in deliveries] == [job_id]
    assert await store.finish([ending(one) for one in deliveries]) == ["applied"]


async def seen_by_operators(store: HybridStore, info: WorkerInfo) -> list[WorkerStatus]:
    """The workers, after the lease of this one was renewed."""
    assert (await store.renew(info, 60)).live
    return await store.workers()


async def until_back(store: HybridStore) -> None:
    """Return once the lane is used again."""
    async with asyncio.timeout(20):
        await store._breaker.until_closed()


@pytest.mark.parametrize("how", ["cut", "stall"])
async def test_jobs_go_on_without_the_lane_and_return_to_it(
    store: HybridStore, proxy: Proxy, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    info = await worker(store)
    request = ClaimRequest(worker=info.id, queues=("default",), limit=5)
    await run_one(store, request, "before")
    getattr(proxy, how)()
    with caplog.at_level(logging.INFO, "ferryman.lane"):
        for number in range(10):
            await run_one(store, request, f"during-{number}")
        assert store.lane_state().level == "warning"
        assert [one.degraded for one in await seen_by_operators(store, info)] == [True]
        assert any("degraded" in finding.what for finding in await store.check())
        proxy.mend()
        await until_back(store)
    await store.sweep()
    await run_one(store, request, "after")
    assert store.lane_state().level == "ok"
    assert [one.degraded for one in await seen_by_operators(store, info)] == [False]
    assert store._breaker.switches == 2
    assert [record.message[:8] for record in caplog.records].count("degraded") == 1


async def test_a_silent_lane_costs_one_enqueue_a_moment(
    open_store: OpenStore, proxy: Proxy
) -> None:
    store = await open_store(Tuning(call_limit=60, enqueue_wait=1.0), lane=proxy.url)
    await store.submit([new_job("warm")])
    places = await store._queued_among(["warm"])
    proxy.stall()
    waits = []
    for _ in range(20):
        store._relay.add(places)
        begun = time.monotonic()
        await store._relay.flush()  # what an enqueue adds to the database's time
        waits.append(time.monotonic() - begun)
    assert [wait for wait in waits if wait > 0.9] == waits[:1]
    proxy.mend()


async def test_whoever_waits_on_a_dying_lane_gets_work_from_the_database(
    store: HybridStore, proxy: Proxy, open_store: OpenStore
) -> None:
    await worker(store)
    other = await open_store(USUAL)  # reaches the lane all the time
    waiting = asyncio.create_task(store.wait_for_work(["default"], 20))
    await asyncio.sleep(0.1)
    proxy.cut()
    async with asyncio.timeout(30):
        await store._breaker.until_open()
        await other.submit([new_job("a")])
        await waiting
    proxy.mend()


async def test_a_flapping_lane_is_left_alone(store: HybridStore, proxy: Proxy) -> None:
    info = await worker(store)
    request = ClaimRequest(worker=info.id, queues=("default",), limit=5)
    with proxy.flapping(up=0.15, down=0.15):
        deadline, number = time.monotonic() + 3, 0
        while time.monotonic() < deadline:
            number += 1
            await run_one(store, request, f"job-{number}")
    assert store._breaker.switches <= 5, "about twenty times down and up"


async def test_what_is_queued_while_the_lane_comes_back_is_in_it(
    store: HybridStore, open_store: OpenStore
) -> None:
    """Others may have filled it anew before this process uses it."""
    other = await open_store(LANE_ONLY)
    info = await worker(other)
    distrust = store._breaker._recovered
    told = asyncio.Event()

    async def slowly() -> None:
        await distrust()
        await other.sweep()
        await store.submit([new_job("a")])
        told.set()

    store._breaker._recovered = slowly
    store._breaker.trip("a test says so")
    async with asyncio.timeout(10):
        await told.wait()
        await store._breaker.until_closed()
    assert await first_offered(other, info) == ["a"]


async def test_a_store_opens_without_its_lane(open_store: OpenStore, lane: LaneServer) -> None:
    lane.kill()
    store = await open_store(USUAL)
    info = await worker(store)
    request = ClaimRequest(worker=info.id, queues=("default",), limit=5)
    await run_one(store, request, "a")
    lane.start()
    await until_back(store)
    await store.sweep()
    await run_one(store, request, "b")
    assert store.lane_state().level == "ok"


async def test_a_lane_that_is_down_is_tried_once_when_a_store_opens(
    open_store: OpenStore, proxy: Proxy
) -> None:
    proxy.cut()
    store = await open_store(PATIENT, lane=proxy.url)
    assert store.lane_state().level == "warning"
    assert proxy.refused == 1


async def test_a_frozen_server_is_noticed_and_left(open_store: OpenStore, lane: LaneServer) -> None:
    store = await open_store(USUAL)
    info = await worker(store)
    request = ClaimRequest(worker=info.id, queues=("default",), limit=5)
    lane.freeze()
    try:
        for number in range(5):
            await run_one(store, request, f"job-{number}")
        assert store.lane_state().level == "warning"
    finally:
        lane.thaw()
    await until_back(store)
