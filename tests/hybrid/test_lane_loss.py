"""T3, T5: whatever the lane loses, at any moment, all jobs go on by themselves."""

import asyncio
import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from ferryman.domain.errors import JobExists
from ferryman.domain.ids import new_id
from ferryman.domain.job import WorkerInfo
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import ClaimRequest
from ferryman.stores.hybrid.relay import spots_of
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.sql.engine import parse_url
from tests.contract.leaks import leaks
from tests.contract.world import ending, new_job
from tests.hybrid.conftest import OpenStore
from tests.hybrid.lane_server import LaneServer

LOSSES: dict[str, Callable[[LaneServer], None]] = {
    "flushed": LaneServer.flush,
    "replaced": LaneServer.replace,
}


async def worker(store: HybridStore) -> WorkerInfo:
    """A registered worker."""
    queues = ("default",)
    info = WorkerInfo(id=new_id(), name="w", host="h", pid=1, queues=queues, concurrency=8)
    await store.register(info, 60)
    # The one look into the database that this worker takes; what it gets next is from the lane.
    assert await store.claim(ClaimRequest(worker=info.id, queues=queues, limit=1)) == []
    return info


async def drained(store: HybridStore, info: WorkerInfo, number: int) -> list[str]:
    """The ids of so many jobs, as they are claimed and finished, with the upkeep that goes on."""
    ids: list[str] = []
    request = ClaimRequest(worker=info.id, queues=("default",), limit=10)
    async with asyncio.timeout(20):
        while len(ids) < number:
            await store.promote()
            deliveries = await store.claim(request)
            ids += [one.job_id for one in deliveries]
            await store.finish([ending(one) for one in deliveries])
            await asyncio.sleep(0.01)
    assert await store.claim(request) == []
    return ids


async def first_offered(store: HybridStore, info: WorkerInfo) -> list[str]:
    """The ids of what is claimed first, as soon as there is something."""
    request = ClaimRequest(worker=info.id, queues=("default",), limit=5)
    async with asyncio.timeout(5):
        while not (deliveries := await store.claim(request)):
            await store.wait_for_work(request.queues, 0.05)
    return [one.job_id for one in deliveries]


@pytest.mark.parametrize("loss", list(LOSSES))
async def test_all_jobs_go_on(open_store: OpenStore, lane: LaneServer, loss: str) -> None:
    store = await open_store()
    info = await worker(store)
    jobs = [new_job(f"queued-{n}", priority=n % 3) for n in range(20)]
    await store.submit([*jobs, new_job("scheduled", delay=0.5), new_job("late", delay=0.2)])
    (running,) = await store.claim(ClaimRequest(worker=info.id, queues=("default",), limit=1))
    LOSSES[loss](lane)
    assert (await store.renew(info, 60)).live
    assert await store.finish([ending(running, JobState.SCHEDULED, delay=0.3)]) == ["applied"]
    assert sorted(await drained(store, info, 22)) == sorted(
        [*(job.id for job in jobs), "scheduled", "late"]
    )


async def test_an_older_snapshot_is_noticed(open_store: OpenStore, lane: LaneServer) -> None:
    store = await open_store()
    info = await worker(store)
    await store.submit([new_job("kept")])
    with lane.client() as client:
        client.save()
    await store.submit([new_job("cut-off")])
    lane.kill()
    lane.start()
    with lane.client() as client:
        assert client.get("test:{*}:epoch") is not None  # it looks as if nothing was lost
    assert sorted(await drained(store, info, 2)) == ["cut-off", "kept"]


async def test_a_flush_while_the_lane_is_filled_is_noticed(
    open_store: OpenStore, lane: LaneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await open_store(swept=False)
    info = await worker(store)
    await store.submit([new_job(f"job-{n}") for n in range(50)])
    fill = store._sweep.fill_queue

    async def disturbed(queue: str, token: str | None = None) -> int | None:
        number = await fill(queue, token)
        lane.flush()
        monkeypatch.undo()
        return number

    monkeypatch.setattr(store._sweep, "fill_queue", disturbed)
    await store.sweep()
    with lane.client() as client:
        assert client.get("test:{*}:epoch") is None
    await store.sweep()
    assert len(await drained(store, info, 50)) == 50


async def test_a_job_that_only_the_lane_lacks_is_found_at_the_head(open_store: OpenStore) -> None:
    store = await open_store()
    info = await worker(store)
    await store.submit([new_job("first"), new_job("second")])
    await store._lane.take(["default"], 1, 1e6)  # as if it had never been pushed
    assert await drained(store, info, 2) == ["second", "first"]


async def test_an_id_that_a_dead_worker_took_comes_back(open_store: OpenStore) -> None:
    """It was taken from the lane, and never claimed in the database."""
    store = await open_store()
    info = await worker(store)
    await store.submit([new_job("a")])
    _, taken = await store._lane.take(["default"], 1, hold=1.5)
    assert [entry.job_id for entry in taken] == ["a"]
    request = ClaimRequest(worker=info.id, queues=("default",), limit=5)
    assert await store.claim(request) == []
    begun = time.monotonic()
    while not (deliveries := await store.claim(request)):
        await asyncio.sleep(0.01)
        assert time.monotonic() - begun < 20
    assert [one.job_id for one in deliveries] == ["a"]


async def test_nobody_settles_what_another_has_taken(open_store: OpenStore) -> None:
    """The first to take it says what became of it when another has taken it again."""
    store = await open_store()
    info = await worker(store)
    await store.submit([new_job("a")])
    _, first = await store._lane.take(["default"], 1, hold=1e6)
    await store._lane.push(spots_of(await store._queued_among(["a"])))
    _, second = await store._lane.take(["default"], 1, hold=0.3)
    assert [entry.job_id for entry in (*first, *second)] == ["a", "a"]
    await store._lane.settle({"default": [entry.mark for entry in first]})
    assert await first_offered(store, info) == ["a"]


async def test_what_was_taken_too_much_goes_back_to_its_place(open_store: OpenStore) -> None:
    """Several queues are asked at once; each keeps its order and what was not wanted."""
    store = await open_store()
    queues = ("urgent", "default")
    info = await worker(store)
    await store.submit([new_job(f"{queue}-{n}", queue=queue) for n in range(3) for queue in queues])
    await store.submit([new_job("default-first", priority=5)])
    request = ClaimRequest(worker=info.id, queues=queues, limit=2)
    claimed: list[str] = []
    async with asyncio.timeout(10):
        while len(claimed) < 7:
            claimed += [one.job_id for one in await store.claim(request)]
    assert claimed[:3] == ["urgent-0", "urgent-1", "urgent-2"]
    assert claimed[3:] == ["default-first", "default-0", "default-1", "default-2"]


async def test_duplicates_and_strays_in_the_lane_are_harmless(open_store: OpenStore) -> None:
    """T2: what the lane offers too often, or wrongly, is refused by the claim."""
    store = await open_store()
    info = await worker(store)
    await store.submit([new_job("a"), new_job("b"), new_job("cancelled")])
    places = await store._queued_among(["a", "b", "cancelled"])
    await store.cancel(["cancelled"])
    request = ClaimRequest(worker=info.id, queues=("default",), limit=1)
    seen: list[str] = []
    for _ in range(6):
        store._relay.add(places)
        await store._relay.flush()
        for delivery in await store.claim(request):
            seen.append(delivery.job_id)
            await store.finish([ending(delivery)])
    assert sorted(seen) == ["a", "b"]


async def test_what_is_needed_is_in_the_database(open_store: OpenStore, lane: LaneServer) -> None:
    """T5: unique keys, pauses, schedules, dead letters and leases survive the lane."""
    store = await open_store()
    info = await worker(store)
    await store.submit([new_job("holder", unique="k"), new_job("dead"), new_job("later", delay=9)])
    request = ClaimRequest(worker=info.id, queues=("default",), limit=2)
    holder, dead = await store.claim(request)
    await store.finish([ending(dead, JobState.FAILED)])
    await store.pause("default")
    lane.flush()
    await store.sweep()
    with pytest.raises(JobExists):
        await store.submit([new_job("other", unique="k")])
    await store.submit([new_job("waits")])
    assert await store.claim(request) == []
    states = [job.state if job else None for job in await store.get(["holder", "dead", "later"])]
    assert states == [JobState.RUNNING, JobState.FAILED, JobState.SCHEDULED]
    assert (await store.renew(info, 60)).live
    await store.resume("default")
    assert [one.job_id for one in await store.claim(request)] == ["waits"]
    assert await store.finish([ending(holder)]) == ["applied"]


async def test_what_a_synchronous_session_committed_is_pushed(
    open_store: OpenStore, settings: Settings
) -> None:
    """By a store that is not open, as a synchronous application's is."""
    store = await open_store()
    info = await worker(store)
    url = parse_url(settings.database_url or "")
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(url.set(drivername="sqlite") if sqlite else url)

    def enqueue() -> None:
        with Session(engine) as session:
            HybridStore(settings).submit_in(session, [new_job("a")])
            session.commit()

    await asyncio.to_thread(enqueue)
    engine.dispose()
    await store.wait_for_work(["default"], 5)
    request = ClaimRequest(worker=info.id, queues=("default",), limit=5)
    assert [one.job_id for one in await store.claim(request)] == ["a"]


async def test_every_key_of_the_lane_is_declared(open_store: OpenStore, lane: LaneServer) -> None:
    store = await open_store()
    info = await worker(store)
    await store.submit([new_job(f"job-{n}", priority=n % 2) for n in range(6)])
    await store.claim(ClaimRequest(worker=info.id, queues=("default",), limit=2))
    await store.submit([new_job("b", queue="other")])
    await store.pause("other")
    with lane.client() as client:
        assert client.dbsize() > 6
        assert leaks(client, "test") == []
