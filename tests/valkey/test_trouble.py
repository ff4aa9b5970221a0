"""Bad lines, broken connections, cancelled callers: nothing is lost, and no reply goes astray."""

import asyncio
import time
from collections.abc import Callable

import pytest
from redis import Redis

from ferryman.domain.errors import ConfigError, StoreUnavailable
from ferryman.domain.ids import new_id
from ferryman.domain.job import Job, Submitted
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.valkey.connection import shown
from ferryman.stores.valkey.store import ValkeyStore
from tests.clock import FakeClock
from tests.contract.world import World, ending, new_job
from tests.valkey.conftest import OpenStore
from tests.valkey.line import Line

GONE = "redis://someone:secret@127.0.0.1:1/0"


def kill_connections(server: Redis) -> int:
    """Close the connections of all other clients."""
    return int(server.client_kill_filter(skipme=True))


async def until(true: Callable[[], object]) -> None:
    """Wait for a condition on a server."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.005)


def blocked(server: Redis) -> int:
    """How many clients wait in a blocking read."""
    return int(server.info("clients")["blocked_clients"])


def _succeeded(job: Job | None) -> bool:
    return job is not None and job.state is JobState.SUCCEEDED


# -- lost replies ------------------------------------------------------------------------------


async def test_a_submit_whose_reply_was_lost_is_the_same_submit(
    over_line: World, line: Line
) -> None:
    await over_line.submit("first")  # from here on the queue is known
    await over_line.claimed_ids()
    job_id = new_id()
    line.lose_replies = 1
    (submitted,) = await over_line.submit(job_id)
    assert line.lost == 1
    assert (submitted.job_id, submitted.created) == (job_id, False)
    assert await over_line.claimed_ids() == [job_id]
    assert await over_line.claimed_ids() == []


async def test_a_batch_whose_reply_was_lost_is_not_taken_in_twice(
    over_line: World, line: Line
) -> None:
    ids = [f"job-{number}" for number in range(50)]
    line.lose_replies = 2
    await over_line.submit(*ids)
    assert await over_line.claimed_ids() == ids


async def test_an_ending_whose_reply_was_lost_is_applied_once(over_line: World, line: Line) -> None:
    delivery = await over_line.running()
    line.lose_replies = 1
    assert await over_line.finish(delivery, JobState.SCHEDULED, delay=5.0, charge=1) == "applied"
    assert line.lost == 1
    assert (await over_line.job(delivery.job_id)).attempts == 1
    assert len(await over_line.store.events(delivery.job_id)) == 3


async def test_a_claim_is_not_repeated_and_its_jobs_are_handed_back(
    over_line: World, line: Line
) -> None:
    """A second claim would hide the first, whose jobs nobody runs."""
    worker = await over_line.worker()
    await over_line.submit("first", "kept", "lost")
    assert len(await over_line.claim(by=worker)) == 1  # from here on the queue knows the lease
    (kept,) = await over_line.claim(by=worker)
    line.lose_replies = 1
    with pytest.raises(StoreUnavailable):
        await over_line.claim(by=worker)
    assert await over_line.state("lost") is JobState.RUNNING
    handed = await over_line.store.hand_back(worker, kill=False, keep={"first", "kept"})
    assert handed == [("lost", JobState.QUEUED)]
    assert await over_line.finish(kept) == "applied"


# -- broken connections ------------------------------------------------------------------------


async def test_killed_connections_are_made_anew(world: World, server: Redis) -> None:
    await world.submit("a")
    worker = await world.tireless()
    await asyncio.gather(*(world.store.get(["a"]) for _ in range(5)))
    for _ in range(3):
        assert kill_connections(server) >= 1
        assert (await world.job("a")).id == "a"
    assert len(await world.claim(by=worker)) == 1


async def test_connections_killed_in_the_middle_of_traffic(world: World, server: Redis) -> None:
    """Submits go on by themselves; each job is there once."""
    ids = [f"job-{number:03}" for number in range(200)]
    done = asyncio.Event()

    async def disturb() -> int:
        killed = 0
        while not done.is_set():
            killed += await asyncio.to_thread(kill_connections, server)
            await asyncio.sleep(0.01)
        return killed

    async def produce(part: list[str]) -> None:
        for job_id in part:
            while True:  # the store gives up after some tries; repeating is always safe
                try:
                    await world.submit(job_id)
                    break
                except StoreUnavailable:
                    continue

    disturbing = asyncio.create_task(disturb())
    await asyncio.gather(*(produce(ids[start::4]) for start in range(4)))
    done.set()
    assert await disturbing > 0
    assert sorted(await world.claimed_ids(limit=500)) == ids


async def test_who_waits_for_an_end_survives_a_killed_subscription(
    world: World, server: Redis
) -> None:
    delivery = await world.running()
    waiting = asyncio.create_task(world.store.wait_for_end(delivery.job_id, 30))
    await until(server.pubsub_channels)
    server.client_kill_filter(_type="pubsub")
    await until(server.pubsub_channels)
    begun = time.monotonic()
    await world.finish(delivery)
    assert _succeeded(await waiting)
    assert time.monotonic() - begun < 10


async def test_a_deaf_subscription_costs_a_moment_and_is_replaced(
    over_line: World, line: Line, server: Redis, settings: Settings, open_store: OpenStore
) -> None:
    """Whoever waits looks for himself from time to time, and then listens on a new connection."""
    other = await open_store(settings)
    first, second = await over_line.running(), await over_line.running()
    waiting = asyncio.create_task(over_line.store.wait_for_end(first.job_id, 30))
    await until(lambda: server.pubsub_channels(f"*:{first.job_id}"))
    deaf = server.client_list(_type="pubsub")
    assert line.deafen() == 1
    await other.finish([ending(first)])
    assert _succeeded(await waiting)
    waiting = asyncio.create_task(over_line.store.wait_for_end(second.job_id, 30))
    await until(lambda: server.pubsub_channels(f"*:{second.job_id}"))
    # The server may notice a moment later that the other end has gone.
    await until(
        lambda: (
            not {one["id"] for one in deaf}
            & {one["id"] for one in server.client_list(_type="pubsub")}
        )
    )
    await other.finish([ending(second)])
    assert _succeeded(await waiting)


async def test_who_waits_for_work_hears_of_a_broken_connection(world: World, server: Redis) -> None:
    waiting = asyncio.create_task(world.store.wait_for_work(["default"], 30))
    await until(lambda: blocked(server))
    kill_connections(server)
    with pytest.raises(StoreUnavailable):
        await waiting
    await world.submit("a")
    await world.store.wait_for_work(["default"], 30)


# -- a server that does not answer -------------------------------------------------------------


async def test_a_silent_server_is_given_up_in_time(over_line: World, line: Line) -> None:
    await over_line.submit("a")
    line.silent = True
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="did not answer in time"):
        await over_line.job("a")
    assert 1.9 < time.monotonic() - begun < 20
    line.silent = False
    assert (await over_line.job("a")).id == "a"


async def test_a_server_that_is_not_there_is_named_without_its_password(clock: FakeClock) -> None:
    store = ValkeyStore(Settings(valkey_url=GONE), clock)
    with pytest.raises(StoreUnavailable) as caught:
        await store.open()
    await store.close()
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["redis://u:secret@h/0", "redis://h/0?password=secret", "unix:///s?password=secret"]
)
def test_no_url_is_shown_with_its_password(url: str) -> None:
    assert "secret" not in shown(url)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://localhost:port/0"])
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        ValkeyStore(Settings(valkey_url=url))


# -- cancelled callers -------------------------------------------------------------------------


async def test_a_cancelled_call_does_not_shift_later_replies(world: World) -> None:
    """A connection that still owes a reply is never used again."""
    await world.submit(*(f"job-{number}" for number in range(20)))
    for turn in range(200):
        call = asyncio.create_task(world.store.get([f"job-{turn % 20}"]))
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        call.cancel()
        found = await asyncio.gather(*(world.job(f"job-{number}") for number in range(3)))
        assert [job.id for job in found] == ["job-0", "job-1", "job-2"]
        await asyncio.gather(call, return_exceptions=True)


async def test_a_cancelled_wait_does_not_hold_its_connection(world: World, server: Redis) -> None:
    for _ in range(5):
        waiting = asyncio.create_task(world.store.wait_for_work(["default"], 30))
        await until(lambda: blocked(server))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: not blocked(server))
    assert await world.submit("a") == [Submitted("a", "default", True)]


async def test_more_callers_than_connections_wait_their_turn(world: World, server: Redis) -> None:
    await asyncio.gather(*(world.store.submit([new_job(f"job-{one}")]) for one in range(300)))
    assert int(server.info("clients")["connected_clients"]) <= 70
    (queue,) = await world.store.queues()
    assert queue.queued == 300
