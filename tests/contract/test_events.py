"""The history of a job: one event a change, in order, and nothing else."""

from ferryman.domain.states import JobState, Reason, legal
from tests.contract.world import World

S = JobState


async def test_a_job_with_a_long_life_has_a_legal_history(world: World) -> None:
    worker = await world.worker()
    await world.submit("a", queue="q-a", delay=1.0)
    world.clock.advance(2)
    await world.store.promote()
    (first,) = await world.claim("q-a", by=worker)
    await world.store.hand_back(worker, kill=False)
    second = await world.again(first, by=worker)
    await world.finish(second, S.SCHEDULED, delay=3.0, charge=1, detail="ValueError")
    world.clock.advance(4)
    await world.store.promote()
    third = await world.again(second, by=worker)
    world.clock.advance(20)
    await world.store.reap()
    fourth = await world.again(third)
    await world.finish(fourth, S.FAILED)
    await world.store.retry(["a"], by="anna")
    fifth = await world.again(fourth)
    await world.finish(fifth)
    events = await world.store.events("a")
    assert [(event.target, event.reason) for event in events] == [
        (S.SCHEDULED, Reason.SUBMITTED),
        (S.QUEUED, Reason.DUE),
        (S.RUNNING, Reason.CLAIMED),
        (S.QUEUED, Reason.HANDED_BACK),
        (S.RUNNING, Reason.CLAIMED),
        (S.SCHEDULED, Reason.RETRY),
        (S.QUEUED, Reason.DUE),
        (S.RUNNING, Reason.CLAIMED),
        (S.QUEUED, Reason.LEASE_LOST),
        (S.RUNNING, Reason.CLAIMED),
        (S.FAILED, Reason.PERMANENT),
        (S.QUEUED, Reason.RETRIED),
        (S.RUNNING, Reason.CLAIMED),
        (S.SUCCEEDED, Reason.RETURNED),
    ]
    sources = [event.source for event in events]
    assert sources == [None, *(event.target for event in events[:-1])]
    assert all(legal(event.source, event.target) for event in events)
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    moments = [event.at for event in events]
    assert moments == sorted(moments)
    assert moments[0] == world.clock.moment(-26)
    assert moments[-1] == world.clock.moment()
    assert {event.job_id for event in events} == {"a"}
    assert events[5].detail == "ValueError"


async def test_a_claim_says_who_and_under_which_token(world: World) -> None:
    worker = await world.worker()
    delivery = await world.running(by=worker)
    await world.finish(delivery)
    _, claimed, finished = await world.store.events(delivery.job_id)
    assert (claimed.token, claimed.worker) == (delivery.token, worker.id)
    assert finished.token == delivery.token
    assert claimed.at == world.clock.moment()


async def test_what_changes_nothing_leaves_no_event(world: World) -> None:
    delivery = await world.running()
    await world.store.cancel([delivery.job_id], by="anna")
    await world.store.admit([delivery.job_id])
    await world.store.promote()
    await world.store.reap()
    await world.store.expire()
    assert len(await world.store.events(delivery.job_id)) == 2


async def test_a_missing_job_has_no_events(world: World) -> None:
    assert await world.store.events("missing") == []


async def test_every_job_of_a_batch_has_its_own_events(world: World) -> None:
    await world.submit("a", "b", "c")
    for job_id in "abc":
        (event,) = await world.store.events(job_id)
        assert (event.job_id, event.source, event.target) == (job_id, None, S.QUEUED)


async def test_a_very_long_history_keeps_both_ends_in_order(world: World) -> None:
    """A store may drop the middle; what is left still begins with the submit and is in order."""
    delivery = await world.running()
    for _ in range(150):
        await world.finish(delivery, S.QUEUED)
        delivery = await world.again(delivery)
    await world.finish(delivery)
    events = await world.store.events(delivery.job_id)
    assert (events[0].source, events[0].target) == (None, S.QUEUED)
    assert (events[-1].source, events[-1].target) == (S.RUNNING, S.SUCCEEDED)
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    assert all(legal(event.source, event.target) for event in events)
