"""Places in a queue: what is queued later never gets in front, whatever a batch came to."""

from ferryman.domain.states import JobState, Reason
from ferryman.stores.sql.store import SqlStore
from tests.clock import FakeClock
from tests.contract.world import World, ending


async def test_a_batch_that_was_mostly_stale_keeps_what_follows_behind(
    store: SqlStore, clock: FakeClock
) -> None:
    world = World(store, clock)
    ids = [f"job-{number:02}" for number in range(20)]
    await world.submit(*ids)
    deliveries = await world.claim(limit=20)
    await store.finish([ending(one) for one in deliveries[:-1]])
    batch = [ending(one, JobState.QUEUED, reason=Reason.RETRY) for one in deliveries]
    verdicts = await store.finish(batch)
    assert [str(verdict) for verdict in verdicts] == ["stale"] * 19 + ["applied"]
    await world.submit("behind")
    assert await world.claimed_ids() == ["job-19", "behind"]


async def test_a_batch_that_was_mostly_there_keeps_what_follows_behind(
    store: SqlStore, clock: FakeClock
) -> None:
    world = World(store, clock)
    ids = [f"job-{number:02}" for number in range(20)]
    await world.submit(*ids[:-1])
    await world.submit(*ids)
    await world.submit("behind")
    assert await world.claimed_ids() == [*ids, "behind"]
