"""A worker of many queues asks the lane for all of them at once."""

from collections.abc import Sequence
from typing import Any

import pytest

from ferryman.domain.ids import new_id
from ferryman.domain.job import WorkerInfo
from ferryman.stores.base import ClaimRequest
from ferryman.stores.hybrid.store import HybridStore
from tests.contract.world import ending, new_job
from tests.hybrid.conftest import OpenStore

QUEUES = tuple(f"queue-{number}" for number in range(8))


@pytest.fixture
async def store(open_store: OpenStore) -> HybridStore:
    """A store whose worker gets nothing but by the lane."""
    store = await open_store()
    info = WorkerInfo(id="w", name="w", host="h", pid=1, queues=QUEUES, concurrency=8)
    await store.register(info, 60)
    assert await store.claim(ClaimRequest(worker="w", queues=QUEUES, limit=1)) == []
    return store


async def claimed(store: HybridStore, limit: int) -> list[str]:
    """The queues of the jobs that a claim gives, which are ended then."""
    deliveries = await store.claim(ClaimRequest(worker="w", queues=QUEUES, limit=limit))
    await store.finish([ending(one) for one in deliveries])
    return [one.queue.removeprefix("queue-") + one.job_id[-1] for one in deliveries]


async def submit(store: HybridStore, *names: str) -> None:
    """Submit jobs whose names are the number of a queue and a letter."""
    await store.submit([new_job(new_id() + one[1], queue=f"queue-{one[0]}") for one in names])


async def test_all_of_a_queue_goes_before_the_next(store: HybridStore) -> None:
    await submit(store, "3a", "3b", "5a", "5b", "5c", "7a", "7b")
    assert await claimed(store, 4) == ["3a", "3b", "5a", "5b"]
    # The lane had given more than that, and has it again, in its order.
    await submit(store, "5d", "1a")
    assert await claimed(store, 3) == ["1a", "5c", "5d"]
    assert await claimed(store, 3) == ["7a", "7b"]


async def test_a_claim_is_one_round_trip(
    store: HybridStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    take = store._lane.take

    async def counted(queues: Sequence[str], *args: Any) -> Any:
        asked.append(len(queues))
        return await take(queues, *args)

    monkeypatch.setattr(store._lane, "take", counted)
    await submit(store, *(f"4{letter}" for letter in "abcdef"))
    assert [await claimed(store, 1) for _ in "abcd"] == [["4a"], ["4b"], ["4c"], ["4d"]]
    assert asked == [8, 5, 5, 5], "all queues, and then those that it takes"
    assert await claimed(store, 5) == ["4e", "4f"]
    assert asked[4:] == [5, 3], "and the others, where those have too little"
    assert await claimed(store, 5) == []
    assert asked[6:] == [8]
