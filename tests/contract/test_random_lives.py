"""Random lives of jobs on a real store and on the model, step by step the same.

A step is a verb with small numbers, so that ids, keys, workers and tokens collide often. A failure
is shrunk to the few steps that matter. `RANDOM_LIVES=1000` in the environment tries more of them.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferryman.domain.errors import JobExists, LeaseLost
from ferryman.domain.ids import new_id
from ferryman.domain.job import Delivery, Job, NewJob, Progress, QueueInfo, WorkerInfo
from ferryman.domain.outcomes import Ending, Failure
from ferryman.domain.states import JobState
from ferryman.stores import JobStore, make_store
from ferryman.stores.base import ClaimRequest, JobFilter, ProgressUpdate, Verdict
from tests.backends import BACKENDS
from tests.clock import FakeClock
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.contract.world import REASONS, new_job

IDS = [f"job-{number}" for number in range(6)]
QUEUES = ("q0", "q1")
EXAMPLES = int(os.environ.get("RANDOM_LIVES", "15"))
STEPS = 60

NO_WORDS = Failure(kind="", message="")

Step = tuple[str, dict[str, Any]]


def step(verb: str, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """Steps of one verb."""
    return st.tuples(st.just(verb), st.fixed_dictionaries(strategies))


an_id = st.sampled_from(IDS)
some_ids = st.lists(an_id, min_size=1, max_size=3, unique=True)
a_slot = st.integers(0, 1)
a_number = st.integers(0, 7)
DELAYS = st.sampled_from([0.0, 0.0, 5.0, 20.0])

STEP = st.one_of(
    step(
        "submit",
        job_id=an_id,
        priority=st.sampled_from([-10, 0, 10]),
        delay=DELAYS,
        expires_in=st.sampled_from([None, None, 12.0]),
        unique=st.sampled_from([None, "k"]),
        on_conflict=st.sampled_from(["refuse", "return"]),
        held=st.booleans(),
    ),
    step("submit_many", ids=some_ids),
    step("claim", slot=a_slot, limit=st.integers(1, 4), backwards=st.booleans()),
    step("claim", slot=a_slot, limit=st.integers(1, 4), backwards=st.booleans()),
    step(
        "finish",
        which=a_number,
        state=st.sampled_from(list(REASONS)),
        delay=DELAYS,
        ttl=st.sampled_from([None, 4.0]),
        charge=st.integers(0, 1),
        also_claim=st.booleans(),
    ),
    step("hand_back", slot=a_slot, kill=st.booleans(), spare=some_ids, keep=some_ids),
    step("progress", which=a_number, current=a_number),
    step("renew", slot=a_slot),
    step("restart", slot=a_slot, unregister=st.booleans()),
    step("advance", seconds=st.sampled_from([0.5, 3.0, 11.0])),
    step("cancel", ids=some_ids),
    step("retry", ids=some_ids, args=st.sampled_from([None, b"new"])),
    step("discard", ids=some_ids),
    step("admit", ids=some_ids),
    step("reap"),
    step("promote"),
    step("expire"),
    step("prune", max_history=st.sampled_from([None, 0]), ttl=st.sampled_from([None, 5.0])),
    step("pause", queue=st.sampled_from(QUEUES)),
    step("resume", queue=st.sampled_from(QUEUES)),
    step("purge", queue=st.sampled_from(QUEUES)),
)


class Twins:
    """A real store and the model, which are told the same."""

    def __init__(self, real: JobStore, clock: FakeClock) -> None:
        self.real = real
        self.model = ModelStore(ModelData(), clock)
        self.clock = clock
        self.workers: list[WorkerInfo] = []
        self.deliveries: list[Delivery] = []
        self.applied: set[tuple[str, int, JobState]] = set()

    async def play(self, steps: list[Step]) -> None:
        """Take all steps; after each both show the same."""
        self.workers = [await self._joined() for _ in range(2)]
        for verb, arguments in steps:
            await getattr(self, verb)(**arguments)
            await self._compare_records()
            self._pass(0.001)  # no two steps happen in the same millisecond
        await self._compare_all()

    async def _both(self, ask: Callable[[JobStore], Awaitable[Any]]) -> Any:
        expected, found = [await _answer(ask(store)) for store in (self.model, self.real)]
        assert found == expected
        return found

    def _pass(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def _joined(self) -> WorkerInfo:
        info = WorkerInfo(id=new_id(), name="w", host="h", pid=1, queues=QUEUES, concurrency=4)
        await self._both(lambda store: store.register(info, 10.0))
        return info

    # -- the verbs ---------------------------------------------------------------------------

    async def submit(self, job_id: str, delay: float, **fields: Any) -> None:
        await self._submit([_job(job_id, delay=self._distinct(delay, job_id), **fields)])

    async def submit_many(self, ids: list[str]) -> None:
        await self._submit([_job(job_id) for job_id in ids])

    async def _submit(self, jobs: list[NewJob]) -> None:
        await self._both(lambda store: store.submit(jobs))

    def _distinct(self, delay: float, job_id: str) -> float:
        """No two jobs are due in the same millisecond: their order would be open."""
        return delay + IDS.index(job_id) / 1000 if delay else 0.0

    def _request(self, slot: int, limit: int, backwards: bool) -> ClaimRequest:
        queues = QUEUES[::-1] if backwards else QUEUES
        return ClaimRequest(worker=self.workers[slot].id, queues=queues, limit=limit)

    async def claim(self, slot: int, limit: int, backwards: bool) -> None:
        request = self._request(slot, limit, backwards)
        found = await self._both(lambda store: store.claim(request))
        self.deliveries += found if isinstance(found, list) else []

    async def finish(
        self, which: int, state: JobState, delay: float, also_claim: bool, **fields: Any
    ) -> None:
        if not self.deliveries:
            return
        delivery = self.deliveries[-1 - which % len(self.deliveries)]
        scheduled = state is JobState.SCHEDULED
        one = Ending(
            job_id=delivery.job_id,
            queue=delivery.queue,
            token=delivery.token,
            state=state,
            reason=REASONS[state],
            delay=self._distinct(delay or 1.0, delivery.job_id) if scheduled else 0.0,
            result=b"1" if state is JobState.SUCCEEDED else None,
            **fields,
        )
        if also_claim:
            await self._finish_and_claim(one, self._request(0, 2, False))
        else:
            (expected,), (verdict,) = [
                await store.finish([one]) for store in (self.model, self.real)
            ]
            self._agree(one, expected, verdict)

    async def _finish_and_claim(self, one: Ending, request: ClaimRequest) -> None:
        expected, found = [
            await _answer(store.finish_and_claim([one], request))
            for store in (self.model, self.real)
        ]
        if isinstance(expected, str):
            assert expected == found
            return
        self._agree(one, expected[0][0], found[0][0])
        assert expected[1] == found[1]
        self.deliveries += found[1]

    def _agree(self, one: Ending, expected: Verdict, verdict: Verdict) -> None:
        """How long a store remembers an applied ending, to know its repeat, is up to it."""
        key = (one.job_id, one.token, one.state)
        repeated = key in self.applied and {expected, verdict} <= {"applied", "stale"}
        assert verdict == expected or repeated
        if expected is Verdict.APPLIED:
            self.applied.add(key)

    async def hand_back(self, slot: int, kill: bool, spare: list[str], keep: list[str]) -> None:
        worker = self.workers[slot]

        async def ask(store: JobStore) -> list[tuple[str, JobState]]:
            return sorted(await store.hand_back(worker, kill=kill, spare=spare, keep=keep[:1]))

        await self._both(ask)

    async def progress(self, which: int, current: int) -> None:
        if not self.deliveries:
            return
        delivery = self.deliveries[-1 - which % len(self.deliveries)]
        update = ProgressUpdate(
            job_id=delivery.job_id,
            queue=delivery.queue,
            token=delivery.token,
            progress=Progress(current, 7) if current % 2 else None,
            checkpoint=b"%d" % current if current > 3 else None,
        )
        await self._both(lambda store: store.progress([update]))

    async def renew(self, slot: int) -> None:
        async def ask(store: JobStore) -> tuple[bool, list[tuple[str, int]]]:
            renewal = await store.renew(self.workers[slot], 10.0)
            return renewal.live, sorted(renewal.cancels)

        await self._both(ask)

    async def restart(self, slot: int, unregister: bool) -> None:
        old = self.workers[slot]
        if unregister:
            await self._both(lambda store: store.unregister(old))
        self.workers[slot] = await self._joined()

    async def advance(self, seconds: float) -> None:
        self._pass(seconds)

    async def cancel(self, ids: list[str]) -> None:
        await self._both(lambda store: store.cancel(ids, by="anna"))

    async def retry(self, ids: list[str], args: bytes | None) -> None:
        await self._both(lambda store: store.retry(ids, args=args))

    async def discard(self, ids: list[str]) -> None:
        await self._both(lambda store: store.discard(ids))

    async def admit(self, ids: list[str]) -> None:
        await self._both(lambda store: store.admit(ids))

    async def reap(self) -> None:
        async def ask(store: JobStore) -> list[tuple[str, JobState]]:
            return sorted(await store.reap())

        await self._both(ask)

    async def promote(self) -> None:
        await self._both(lambda store: store.promote())

    async def expire(self) -> None:
        await self._both(lambda store: store.expire())

    async def prune(self, max_history: int | None, ttl: float | None) -> None:
        await self._both(lambda store: store.prune(dead_letter_ttl=ttl, max_history=max_history))

    async def pause(self, queue: str) -> None:
        await self._both(lambda store: store.pause(queue))

    async def resume(self, queue: str) -> None:
        await self._both(lambda store: store.resume(queue))

    async def purge(self, queue: str) -> None:
        await self._both(lambda store: store.purge(queue))

    # -- what must be the same -----------------------------------------------------------------

    async def _compare_records(self) -> None:
        pairs = zip(await self.model.get(IDS), await self.real.get(IDS), strict=True)
        for expected, found in pairs:
            assert _differences(_comparable(expected), _comparable(found)) == []

    async def _compare_all(self) -> None:
        async def histories(store: JobStore) -> list[Any]:
            return [
                (event.job_id, event.source, event.target, event.reason, event.at)
                for job_id in IDS
                for event in await store.events(job_id)
            ]

        async def listed(store: JobStore) -> list[str]:
            page = await store.page(JobFilter(), limit=100)
            return sorted(job.id for job in page.jobs)

        async def figures(store: JobStore) -> list[QueueInfo]:
            return [_rounded(queue) for queue in await store.queues() if _in_use(queue)]

        async def counts(store: JobStore) -> list[int]:
            return [await store.count(JobFilter(state=state)) for state in JobState]

        await self._both(histories)
        await self._both(listed)
        await self._both(figures)
        await self._both(counts)


async def _answer(asked: Awaitable[Any]) -> Any:
    """What a call gives, or the error that it raises."""
    try:
        return await asked
    except (JobExists, LeaseLost) as error:
        return f"{type(error).__name__} {getattr(error, 'job_id', '')}"


def _job(job_id: str, **fields: Any) -> NewJob:
    return new_job(job_id, queue=QUEUES[IDS.index(job_id) % 2], **fields)


def _comparable(job: Job | None) -> Job | None:
    """A record without what the contract leaves open."""
    if job is None:
        return None
    left = msgspec.structs.replace(job, detail="", failure=None)
    if job.state is JobState.FAILED:
        left = msgspec.structs.replace(left, failure=NO_WORDS if job.failure else None)
    if job.state.terminal:
        left = msgspec.structs.replace(left, cancel_requested=False)
    if job.state is not JobState.RUNNING:
        left = msgspec.structs.replace(left, worker=None)
    if job.state is not JobState.SCHEDULED:
        left = msgspec.structs.replace(left, due_at=job.created_at)
    if not job.deliveries:  # a token is that of a delivery
        left = msgspec.structs.replace(left, token=0)
    return left


def _in_use(queue: QueueInfo) -> bool:
    """Whether a store that forgets a queue with nothing in it may not forget this one."""
    return queue.paused or any(queue.count(state) for state in JobState)


def _rounded(queue: QueueInfo) -> QueueInfo:
    """Whether a job that went back waits since then, or since it was due, is open."""
    waits = queue.oldest_age is not None
    return msgspec.structs.replace(queue, oldest_age=1.0 if waits else None)


def _differences(expected: Job | None, found: Job | None) -> list[str]:
    """The fields that differ, with what was expected and what was found."""
    if expected is None or found is None:
        return [] if expected is found else [f"expected {expected}, found {found}"]
    return [
        f"{found.id}.{name}: expected {getattr(expected, name)!r}, found {getattr(found, name)!r}"
        for name in Job.__struct_fields__
        if getattr(expected, name) != getattr(found, name)
    ]


@pytest.mark.timeout(400 + EXAMPLES)  # to shrink a failure takes a while
@pytest.mark.parametrize("backend", list(BACKENDS))
def test_a_store_does_what_the_model_does(backend: str, request: pytest.FixtureRequest) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(STEP, min_size=5, max_size=STEPS))
    def lives(steps: list[Step]) -> None:
        asyncio.run(play(steps))

    async def play(steps: list[Step]) -> None:
        clock = FakeClock()
        with BACKENDS[backend](request) as given_settings:
            store = make_store(given_settings, clock=clock)
            try:
                await store.open()
                await Twins(store, clock).play(steps)
            finally:
                await store.close()

    lives()
