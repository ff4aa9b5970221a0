"""What went through the queues, in steps."""

from datetime import timedelta

import pytest

from ferryman.domain.errors import ConfigError
from ferryman.domain.figures import BOUNDS, Figures, Spread, merged
from ferryman.domain.states import JobState, Reason
from tests.contract.conftest import OpenStore
from tests.contract.world import World, each, new_job

S = JobState
HOUR = timedelta(hours=1)


async def shown(world: World, step: int = 10) -> list[Figures]:
    """The figures of the last hour."""
    return await world.store.figures(world.clock.moment() - HOUR, step)


def total(figures: list[Figures], queue: str, name: str) -> int:
    """One measure of a queue over all steps."""
    return sum(getattr(one, name) for one in figures if one.queue == queue)


async def test_a_queue_shows_what_went_through_it(world: World) -> None:
    await world.submit(*(f"job-{number}" for number in range(6)), queue="q")
    world.clock.advance(2)
    one, two, three, four = await world.claim("q", limit=4)
    await world.finish(one)
    await world.finish(two, S.FAILED)
    await world.finish(three, S.CANCELLED)
    await world.finish(four, S.SCHEDULED, reason=Reason.RETRY, charge=1, delay=60.0)
    figures = await shown(world)
    wanted = {"submitted": 6, "started": 4, "succeeded": 1, "failed": 1} | {
        "cancelled": 1,
        "retried": 1,
    }
    assert {name: total(figures, "q", name) for name in wanted} == wanted
    waited = merged(one.wait for one in figures)
    assert (waited.count, waited.total) == (4, 8.0)
    assert waited.quantile(0.5) == pytest.approx(2.0, abs=1.0)
    assert merged(one.run for one in figures).count == 4


async def test_refused_and_repeated_calls_do_not_count(world: World) -> None:
    await world.submit("a", queue="q")
    await world.submit("a", queue="q")
    (delivery,) = await world.claim("q")
    await world.store.finish([])
    assert await world.finish(delivery, token=delivery.token + 1) == "stale"
    assert await world.finish(delivery) == "applied"
    figures = await shown(world)
    assert [total(figures, "q", name) for name in ("submitted", "succeeded")] == [1, 1]


async def test_steps_and_queues_are_apart(world: World) -> None:
    begin = world.clock.moment()
    await world.submit("a", queue="q-a")
    await world.submit("b", queue="q-b")
    world.clock.advance(300)
    await world.submit("c", queue="q-a")
    for step, apart in ((10, 3), (300, 3), (600, None)):
        figures = await shown(world, step)
        assert total(figures, "q-a", "submitted") == 2
        assert total(figures, "q-b", "submitted") == 1
        assert apart is None or len(figures) == apart
        assert all(one.at.timestamp() % step == 0 for one in figures)
        assert [one.at for one in figures] == sorted(one.at for one in figures)
    later = await world.store.figures(begin + timedelta(seconds=150), 10)
    assert [(one.queue, one.submitted) for one in later] == [("q-a", 1)]


async def test_several_processes_add_up(world: World, open_store: OpenStore) -> None:
    other = await open_store()
    await other.submit([new_job("a", queue="q"), new_job("b", queue="q")])
    await world.submit("c", queue="q")
    await other.figures(world.clock.moment() - HOUR, 10)  # it writes what it has
    assert total(await shown(world), "q", "submitted") == 3


async def test_expired_jobs_and_lost_workers_count_as_failed(world: World) -> None:
    await world.submit("late", queue="q", expires_in=1.0)
    world.clock.advance(2)
    assert await world.store.expire() == 1
    assert total(await shown(world), "q", "failed") == 1


@each(0, -10, 7, 15)
async def test_other_steps_are_refused(world: World, step: int) -> None:
    with pytest.raises(ConfigError, match="multiple"):
        await world.store.figures(world.clock.moment(), step)


def test_a_spread_tells_quantiles() -> None:
    buckets = [0] * (len(BOUNDS) + 1)
    buckets[4], buckets[6] = 90, 10  # 0.3 to 1 s, and 3 to 10 s
    spread = Spread(100.0, tuple(buckets))
    half, most = spread.quantile(0.5), spread.quantile(0.95)
    assert half is not None
    assert most is not None
    assert 0.3 < half < 1.0
    assert 3.0 < most <= 10.0
    assert Spread().quantile(0.5) is None
    assert merged([]) == Spread()
