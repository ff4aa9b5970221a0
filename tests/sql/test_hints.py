"""Hints: what waiting costs, and that a signal that got lost only costs time."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Engine, text

from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.sql.hints import Topics
from ferryman.stores.sql.store import SqlStore
from tests.clock import FakeClock
from tests.contract.world import World, new_job
from tests.sql.conftest import OpenStore, until
from tests.sql.plans import statements


async def test_waiting_costs_little(ticking: SqlStore) -> None:
    await ticking.wait_for_work(["default"], 0.5)  # the first looks come quickly
    with statements() as seen:
        begun = time.process_time()
        for _ in range(3):
            await ticking.wait_for_work(["default"], 1.0)
        spent = time.process_time() - begun
    assert len(seen) <= 3 * 5
    assert spent < 3 * 0.2


async def test_many_who_wait_share_their_looks(ticking: SqlStore, clock: FakeClock) -> None:
    world = World(ticking, clock)
    ids = [f"job-{number}" for number in range(200)]
    await world.submit(*ids)
    waiting = [asyncio.create_task(ticking.wait_for_end(job_id, 1.0)) for job_id in ids]
    await asyncio.sleep(0.3)  # each has read its job and waits now
    with statements() as seen:
        jobs = await asyncio.gather(*waiting)
    assert [job.state for job in jobs if job] == [JobState.QUEUED] * 200
    looks = [one for one in seen if "checkpoint" not in one.text]
    assert len(looks) <= 20


async def test_work_that_nobody_announced_is_found(ticking: SqlStore, engine: Engine) -> None:
    await ticking.wait_for_work(["default"], 0.5)

    def commit() -> None:
        with engine.begin() as connection:
            ticking.submit_in(connection, [new_job("a")])

    begun = time.monotonic()
    await asyncio.gather(ticking.wait_for_work(["default"], 30.0), asyncio.to_thread(commit))
    assert time.monotonic() - begun < 5.0


async def test_work_that_cannot_be_claimed_wakes_nobody(ticking: SqlStore) -> None:
    await ticking.submit([new_job("a"), new_job("late", queue="other", expires_in=0.001)])
    await ticking.pause("default")
    await ticking.wait_for_work(["default", "other"], 0.3)  # the submit itself was announced
    begun = time.monotonic()
    await ticking.wait_for_work(["default", "other"], 0.5)
    assert time.monotonic() - begun > 0.45
    await asyncio.gather(ticking.wait_for_work(["default"], 30.0), ticking.resume("default"))
    assert time.monotonic() - begun < 5.0


LISTENERS = """
    FROM pg_stat_activity
    WHERE query LIKE 'LISTEN%' AND state = 'idle' AND datname = current_database()
"""


def _listeners(engine: Engine) -> set[int]:
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT pid" + LISTENERS)).scalars())


def _cut_listeners(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid)" + LISTENERS))


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_a_listener_that_is_cut_leaves_no_descriptor_watched(
    ticking: SqlStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, watched = asyncio.get_running_loop(), Counter[int]()
    add, remove = loop.add_reader, loop.remove_reader

    def adds(descriptor: int, *rest: Any) -> None:
        add(descriptor, *rest)
        watched[descriptor] += 1

    def removes(descriptor: int) -> bool:
        watched[descriptor] -= 1
        return remove(descriptor)

    monkeypatch.setattr(loop, "add_reader", adds)
    monkeypatch.setattr(loop, "remove_reader", removes)
    working = asyncio.create_task(ticking.wait_for_work(["default"], 30.0))
    for _ in range(3):
        before = _listeners(engine)
        _cut_listeners(engine)
        await until(lambda: bool(_listeners(engine) - before))  # noqa: B023 - used at once
    await until(lambda: sum(watched.values()) == 1)
    working.cancel()


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_what_is_announced_needs_no_look(
    ticking: SqlStore,
    open_store: OpenStore,
    clock: FakeClock,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ticking._readers, "look", lambda *_: Topics())
    world = World(await open_store(), clock)
    delivery = await world.running()
    for _ in range(2):
        before = _listeners(engine)
        _cut_listeners(engine)
        working = asyncio.create_task(ticking.wait_for_work(["default"], 30.0))
        ending = asyncio.create_task(ticking.wait_for_end(delivery.job_id, 30.0))
        await until(lambda: bool(_listeners(engine) - before))  # noqa: B023 - used at once
        await world.submit(world.fresh_id())
        async with asyncio.timeout(10):
            await working
            await world.finish(delivery)
            job = await ending
        assert job is not None
        assert job.state is JobState.SUCCEEDED
        delivery = await world.running()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_commit_of_another_process_is_noticed(
    ticking: SqlStore, open_store: OpenStore
) -> None:
    other, signal = await open_store(), ticking._hints._signal
    await signal.changed(0.1, keen=True)
    begun = time.monotonic()
    await asyncio.gather(signal.changed(30.0, keen=True), other.submit([new_job("a")]))
    assert time.monotonic() - begun < 5.0
    await asyncio.wait_for(signal.changed(0.2, keen=True), 5.0)


async def test_a_store_that_was_closed_leaves_no_task(settings: Settings) -> None:
    before = asyncio.all_tasks()
    store = SqlStore(settings)
    await store.open()
    await store.wait_for_work(["default"], 0.1)
    await store.submit([new_job("a")])
    await store.close()
    await store.close()
    assert asyncio.all_tasks() == before
