"""The counts of queues, where counting takes long."""

import asyncio

import pytest

from ferryman.stores.sql import counts
from ferryman.stores.sql.store import SqlStore
from tests.clock import FakeClock
from tests.contract.world import new_job


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """One job is a large table."""
    monkeypatch.setattr(counts, "LARGE", 1)


async def queued(store: SqlStore) -> int:
    """How many jobs the queue shows as queued."""
    return sum(info.queued for info in await store.queues())


async def test_the_count_of_a_small_table_is_exact(store: SqlStore) -> None:
    for number in range(3):
        await store.submit([new_job(f"job-{number}")])
        assert await queued(store) == number + 1


async def test_counts_are_kept_for_a_while_and_then_renewed(
    large: None, store: SqlStore, clock: FakeClock
) -> None:
    await store.submit([new_job("a")])
    assert await queued(store) == 1
    await store.submit([new_job("b")])
    assert await queued(store) == 1
    clock.advance(counts.OLD - 1)
    assert await queued(store) == 1  # and it is counted behind its back
    async with asyncio.timeout(30):
        while await queued(store) != 2:  # noqa: ASYNC110 - another task counts
            await asyncio.sleep(0.01)


async def test_old_counts_are_not_shown(large: None, store: SqlStore, clock: FakeClock) -> None:
    await store.submit([new_job("a")])
    assert await queued(store) == 1
    await store.submit([new_job("b")])
    clock.advance(counts.OLD + 1)
    assert await queued(store) == 2


async def test_pauses_and_ages_are_those_of_now(
    large: None, store: SqlStore, clock: FakeClock
) -> None:
    await store.submit([new_job("a")])
    await store.queues()
    await store.pause("default")
    clock.advance(1)
    (info,) = await store.queues()
    assert (info.paused, info.queued, info.oldest_age) == (True, 1, 1.0)
    await store.resume("default")
    (info,) = await store.queues()
    assert not info.paused


async def test_a_table_that_became_small_is_counted_again(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(counts, "LARGE", 1)
        await store.submit([new_job("a")])
        await store.queues()
    await store.submit([new_job("b")])
    clock.advance(counts.OLD - 1)
    async with asyncio.timeout(30):
        while await queued(store) != 2:  # noqa: ASYNC110 - another task counts
            await asyncio.sleep(0.01)
    await store.submit([new_job("c")])
    assert await queued(store) == 3
