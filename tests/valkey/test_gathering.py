"""Single jobs that many submit at once share calls, and nothing else."""

import asyncio

import msgspec
import pytest
from redis import Redis

from ferryman.domain.errors import InvalidName, JobExists, StoreFull, StoreUnavailable
from ferryman.domain.job import Submitted
from tests.contract.world import World, new_job
from tests.valkey.line import Line

CALLERS = [f"job-{number:02}" for number in range(50)]


def scripts_called(server: Redis) -> int:
    """How many script calls the server has seen."""
    stats = server.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in SCRIPTS)


SCRIPTS = ("eval", "evalsha")


async def test_what_is_submitted_at_once_shares_a_call(world: World, server: Redis) -> None:
    await world.submit("first")  # from here on the queue and the script are known
    before = scripts_called(server)
    given = await asyncio.gather(*(world.store.submit([new_job(one)]) for one in CALLERS))
    assert given == [[Submitted(one, "default", True)] for one in CALLERS]
    assert scripts_called(server) - before == 2, "one for the first, and one for all others"
    assert sorted(await world.claimed_ids(limit=100)) == ["first", *CALLERS]


async def test_a_refused_unique_key_is_its_own_callers_alone(world: World) -> None:
    await world.submit("holder", unique="key")
    jobs = [new_job(one, unique="key" if one == "job-20" else None) for one in CALLERS]
    given = await asyncio.gather(
        *(world.store.submit([job]) for job in jobs), return_exceptions=True
    )
    for job, one in zip(jobs, given, strict=True):
        if job.id == "job-20":
            assert isinstance(one, JobExists)
            assert one.job_id == "holder"
        else:
            assert one == [Submitted(job.id, "default", True)]
    assert len(await world.claimed_ids(limit=100)) == 50


async def test_who_asks_for_the_holder_gets_it_among_others(world: World) -> None:
    jobs = [new_job(one, unique="key", on_conflict="return") for one in CALLERS]
    given = await asyncio.gather(*(world.store.submit([job]) for job in jobs))
    assert [one.job_id for (one,) in given] == ["job-00"] * 50
    assert [one.created for (one,) in given] == [True] + [False] * 49


async def test_an_id_that_cannot_be_stored_is_its_own_callers_alone(world: World) -> None:
    jobs = [new_job(one) for one in CALLERS]
    jobs[20] = msgspec.structs.replace(jobs[20], id="not a name")
    given = await asyncio.gather(
        *(world.store.submit([job]) for job in jobs), return_exceptions=True
    )
    assert isinstance(given[20], InvalidName)
    assert len(await world.claimed_ids(limit=100)) == 49


async def test_a_queue_for_each_and_each_in_its_queue(world: World) -> None:
    queues = [f"queue-{number % 7}" for number in range(50)]
    given = await asyncio.gather(
        *(
            world.store.submit([new_job(one, queue=queue)])
            for one, queue in zip(CALLERS, queues, strict=True)
        )
    )
    assert [(one.job_id, one.queue) for (one,) in given] == list(zip(CALLERS, queues, strict=True))


@pytest.mark.parametrize("cancelled", [0, 1, 20])
@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20])
async def test_a_cancelled_caller_takes_no_other_along(
    world: World, cancelled: int, turns: int
) -> None:
    """Be it the one whose call is under way, or one of those who wait for the next."""
    await world.submit("first")
    calls = [asyncio.create_task(world.store.submit([new_job(one)])) for one in CALLERS]
    for _ in range(turns):
        await asyncio.sleep(0)
    calls[cancelled].cancel()
    given = await asyncio.gather(*calls, return_exceptions=True)
    others = [one for at, one in enumerate(given) if at != cancelled]
    ids = [one for at, one in enumerate(CALLERS) if at != cancelled]
    assert others == [[Submitted(one, "default", True)] for one in ids]
    assert set(ids) <= set(await world.claimed_ids(limit=100))


async def test_a_lost_reply_is_made_good_for_all_who_shared_the_call(
    over_line: World, line: Line
) -> None:
    await over_line.submit("first")
    assert await over_line.claimed_ids() == ["first"]
    calls = [asyncio.create_task(over_line.store.submit([new_job(one)])) for one in CALLERS]
    await calls[0]
    line.lose_replies = 1
    given = await asyncio.gather(*calls)
    assert line.lost == 1
    assert [one.job_id for (one,) in given] == CALLERS
    assert sorted(await over_line.claimed_ids(limit=100)) == CALLERS


async def test_a_server_out_of_reach_is_so_for_all_who_wait(over_line: World, line: Line) -> None:
    """They do not wait for it one after another."""
    await over_line.submit("first")
    line.silent = True
    calls = [over_line.store.submit([new_job(one)]) for one in CALLERS]
    async with asyncio.timeout(3):
        given = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, StoreUnavailable) for one in given)
    line.silent = False
    await over_line.submit("again")


async def test_a_server_that_is_full_says_so_to_all(world: World, server: Redis) -> None:
    await world.submit("first")
    server.config_set("maxmemory", 1)
    try:
        given = await asyncio.gather(
            *(world.store.submit([new_job(one)]) for one in CALLERS), return_exceptions=True
        )
    finally:
        server.config_set("maxmemory", 0)
    assert all(isinstance(one, StoreFull) for one in given)
    assert await world.claimed_ids() == ["first"]
