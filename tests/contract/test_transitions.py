"""Every pair of states, legal and refused, against the one table of transitions.

Each way in which a job can be made to change aims at one state. It is tried on a job in every
state: where it may act, the job gets there and an event says so; elsewhere nothing changes at all.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import pytest

from ferryman.domain.job import Job
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import TRANSITIONS, JobState
from ferryman.stores.base import ClaimRequest
from tests.contract.world import FOR_EVER, REASONS, World

S = JobState
NOT_ENDED = {S.SCHEDULED, S.WAITING, S.QUEUED}


class Case(NamedTuple):
    """A job in some state, as the operations need to know it."""

    world: World
    job_id: str
    queue: str
    token: int


async def _submit(case: Case) -> None:
    await case.world.submit(case.job_id, queue=case.queue)


async def _submit_delayed(case: Case) -> None:
    await case.world.submit(case.job_id, queue=case.queue, delay=60.0)


async def _submit_held(case: Case) -> None:
    await case.world.submit(case.job_id, queue=case.queue, held=True)


async def _admit(case: Case) -> None:
    await case.world.store.admit([case.job_id])


async def _promote(case: Case) -> None:
    case.world.clock.advance(61)
    await case.world.store.promote()


async def _retry(case: Case) -> None:
    await case.world.store.retry([case.job_id])


async def _hand_back(case: Case) -> None:
    await case.world.store.hand_back(await case.world.tireless(), kill=False)


async def _kill(case: Case) -> None:
    await case.world.store.hand_back(await case.world.tireless(), kill=True)


async def _reap(case: Case) -> None:
    case.world.clock.advance(FOR_EVER + 1)
    await case.world.store.reap()


async def _claim(case: Case) -> None:
    worker = await case.world.tireless()
    await case.world.store.claim(ClaimRequest(worker=worker.id, queues=(case.queue,), limit=10))


async def _expire(case: Case) -> None:
    case.world.clock.advance(1001)
    await case.world.store.expire()


async def _cancel(case: Case) -> None:
    await case.world.store.cancel([case.job_id])


async def _purge(case: Case) -> None:
    await case.world.store.purge(case.queue)


async def _finish(case: Case, state: JobState) -> None:
    await case.world.store.finish(
        [
            Ending(
                job_id=case.job_id,
                queue=case.queue,
                token=case.token,
                state=state,
                reason=REASONS[state],
                delay=60.0 if state is S.SCHEDULED else 0.0,
            )
        ]
    )


class Way(NamedTuple):
    """An operation, the state that it aims at, and the states in which it may act."""

    act: Callable[[Case], Awaitable[None]]
    target: JobState
    sources: set[JobState | None]


def _ending_in(state: JobState) -> Way:
    return Way(lambda case: _finish(case, state), state, {S.RUNNING})


WAYS: dict[str, Way] = {
    "submit": Way(_submit, S.QUEUED, {None}),
    "submit delayed": Way(_submit_delayed, S.SCHEDULED, {None}),
    "submit held": Way(_submit_held, S.WAITING, {None}),
    "admit": Way(_admit, S.QUEUED, {S.WAITING}),
    "promote": Way(_promote, S.QUEUED, {S.SCHEDULED}),
    "retry": Way(_retry, S.QUEUED, {S.FAILED, S.CANCELLED}),
    "hand back": Way(_hand_back, S.QUEUED, {S.RUNNING}),
    "hand back after a kill": Way(_kill, S.QUEUED, {S.RUNNING}),
    "reap": Way(_reap, S.QUEUED, {S.RUNNING}),
    "claim": Way(_claim, S.RUNNING, {S.QUEUED}),
    "expire": Way(_expire, S.FAILED, set(NOT_ENDED)),
    "cancel": Way(_cancel, S.CANCELLED, set(NOT_ENDED)),
    "purge": Way(_purge, S.CANCELLED, set(NOT_ENDED)),
    **{f"finish {state}": _ending_in(state) for state in REASONS},
}


def test_the_ways_walk_exactly_the_legal_pairs() -> None:
    assert {(source, way.target) for way in WAYS.values() for source in way.sources} == set(
        TRANSITIONS
    )


@pytest.mark.parametrize("source", [None, *S])
async def test_every_way_from(world: World, source: JobState | None) -> None:
    for name, way in WAYS.items():
        await _check(world, name, way, source)


async def _check(world: World, name: str, way: Way, source: JobState | None) -> None:
    case = await _brought(world, name, source)
    (before,) = await world.store.get([case.job_id])
    history = await world.store.events(case.job_id)
    await way.act(case)
    (after,) = await world.store.get([case.job_id])
    further = (await world.store.events(case.job_id))[len(history) :]
    if source in way.sources:
        assert after is not None
        assert after.state == way.target, f"{name} on {source}"
        assert [(event.source, event.target) for event in further] == [(source, way.target)]
    else:
        unchanged = _ignoring_request(before) == _ignoring_request(after)
        assert unchanged, f"{name} changed a job that was {source}: {before} {after}"
        assert not further, f"{name} wrote {further} on {source}"


async def _brought(world: World, name: str, source: JobState | None) -> Case:
    """A job in `source`; only the way that lets jobs expire gets one that can."""
    job_id = world.fresh_id()
    if source is not None:
        fields = {"expires_in": 1000.0, "delay": 5000.0} if name == "expire" else {}
        if source is not S.SCHEDULED:
            fields.pop("delay", None)
        await world.bring(source, job_id, **fields)
    job = (await world.store.get([job_id]))[0]
    return Case(world, job_id, f"q-{job_id}", job.token if job else 1)


def _ignoring_request(job: Job | None) -> Job | None:
    """A running job notes that someone asked it to stop; its state does not change by that."""
    return job and msgspec.structs.replace(job, cancel_requested=False)
