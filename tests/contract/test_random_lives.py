"""Random lives of jobs on a real store and on the model, step by step the same.

A step is a verb with small numbers, so that ids, keys, workers and tokens collide often. A failure
names its seed, and the few steps that matter. `RANDOM_LIVES=1000` in the environment tries more.
"""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from random import Random, randrange
from typing import Any

import msgspec
import pytest

from ferryman.domain.errors import JobExists, LeaseLost
from ferryman.domain.ids import new_id
from ferryman.domain.job import Delivery, Job, NewJob, Progress, QueueInfo, WorkerInfo
from ferryman.domain.outcomes import Ending, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores import JobStore, make_store
from ferryman.stores.base import ClaimRequest, JobFilter, ProgressUpdate, Verdict
from tests.backends import BACKENDS
from tests.clock import FakeClock
from tests.contract import test_planted as planted
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.contract.world import REASONS, new_job

IDS = [f"job-{number}" for number in range(8)]
QUEUES = ("q0", "q1")
LEASE = 30.0
NO_WORDS = Failure(kind="", message="")
LIVES = int(os.environ.get("RANDOM_LIVES", "15"))
STEPS = 100

Step = tuple[str, dict[str, Any]]
DELAYS = (0.0, 0.0, 0.0, 5.0, 20.0)


def _some(random: Random, most: int = 3) -> list[str]:
    return random.sample(IDS, random.randint(1, most))


def _submit(random: Random) -> dict[str, Any]:
    return {
        "job_id": random.choice(IDS),
        "priority": random.choice([-10, 0, 10]),
        "delay": random.choice(DELAYS),
        "expires_in": random.choice([None, 7.0]),
        "unique": random.choice([None, None, "k"]),
        "on_conflict": random.choice(["refuse", "return"]),
        "held": random.random() < 0.1,
    }


def _claim(random: Random) -> dict[str, Any]:
    return {
        "slot": random.randrange(2),
        "limit": random.randint(1, 4),
        "backwards": random.random() < 0.5,
    }


def _finish(random: Random) -> dict[str, Any]:
    return {
        "which": random.choice([0, 0, 1, 1, 2, 3, 7]),
        "state": random.choice(list(REASONS)),
        "delay": random.choice(DELAYS),
        "ttl": random.choice([None, 4.0]),
        "charge": random.randrange(2),
        "also_claim": random.random() < 0.3,
        "again": random.random() < 0.5,
    }


def _hand_back(random: Random) -> dict[str, Any]:
    return {
        "slot": random.randrange(2),
        "kill": random.random() < 0.5,
        "spare": _some(random, 2) if random.random() < 0.3 else [],
        "keep": _some(random, 1) if random.random() < 0.3 else [],
    }


AGAIN = (JobState.SCHEDULED, JobState.QUEUED)

VERBS: dict[str, tuple[int, Callable[[Random], dict[str, Any]]]] = {
    "submit": (24, _submit),
    "submit_many": (14, lambda random: {"ids": _some(random)}),
    "claim": (30, _claim),
    "finish": (20, _finish),
    "hand_back": (6, _hand_back),
    "progress": (6, lambda random: {"which": random.randrange(4), "current": random.randrange(8)}),
    "renew": (10, lambda random: {"slot": random.randrange(2)}),
    "restart": (
        6,
        lambda random: {"slot": random.randrange(2), "unregister": random.random() < 0.5},
    ),
    "advance": (8, lambda random: {"seconds": random.choice([0.5, 3.0, 3.0, 6.0, 6.0, 40.0])}),
    "cancel": (6, lambda random: {"ids": _some(random)}),
    "retry": (8, lambda random: {"ids": _some(random, 1), "args": random.choice([None, b"new"])}),
    "discard": (8, lambda random: {"ids": _some(random)}),
    "admit": (3, lambda random: {"ids": _some(random, 1)}),
    "reap": (4, lambda _: {}),
    "promote": (6, lambda _: {}),
    "expire": (4, lambda _: {}),
    "prune": (
        3,
        lambda random: {
            "max_history": random.choice([None, None, 0]),
            "ttl": random.choice([None, 5.0]),
        },
    ),
    "pause": (1, lambda random: {"queue": random.choice(QUEUES)}),
    "resume": (8, lambda random: {"queue": random.choice(QUEUES)}),
    "purge": (1, lambda random: {"queue": random.choice(QUEUES)}),
}
"""What may happen: how often, and with which arguments."""


def random_life(seed: int) -> list[Step]:
    """The steps of a seed."""
    random = Random(seed)
    verbs = random.choices(list(VERBS), [weight for weight, _ in VERBS.values()], k=STEPS)
    return [(verb, VERBS[verb][1](random)) for verb in verbs]


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
        await self._both(lambda store: store.register(info, LEASE))
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
        self,
        which: int,
        state: JobState,
        delay: float,
        also_claim: bool,
        again: bool,
        **fields: Any,
    ) -> None:
        if not self.deliveries:
            return
        delivery = self.deliveries[-1 - which % len(self.deliveries)]
        scheduled = state is JobState.SCHEDULED
        if not state.terminal:
            fields["ttl"] = None
        one = Ending(
            job_id=delivery.job_id,
            queue=delivery.queue,
            token=delivery.token,
            state=state,
            reason=Reason.RETRY if state is JobState.QUEUED and again else REASONS[state],
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
        if isinstance(expected, str):  # no lease; the ending may have been applied all the same
            assert expected == found
            self._remember(one)
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
            self._remember(one)

    def _remember(self, one: Ending) -> None:
        # Which of them was applied cannot be told any more once a request to stop came first.
        alike = (*AGAIN, JobState.CANCELLED) if one.state in AGAIN else (one.state,)
        self.applied |= {(one.job_id, one.token, state) for state in alike}

    async def hand_back(self, slot: int, kill: bool, spare: list[str], keep: list[str]) -> None:
        worker = self.workers[slot]

        async def ask(store: JobStore) -> list[tuple[str, JobState]]:
            return sorted(await store.hand_back(worker, kill=kill, spare=spare, keep=keep))

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
            renewal = await store.renew(self.workers[slot], LEASE)
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


Ground = Callable[[FakeClock], AbstractContextManager[JobStore]]


async def fails(ground: Ground, steps: list[Step]) -> str:
    """How a store of `ground` differs from the model on these steps, if it does."""
    clock = FakeClock()
    with ground(clock) as store:
        try:
            await store.open()
            await Twins(store, clock).play(steps)
        except AssertionError as error:
            return str(error)
        finally:
            await store.close()
    return ""


async def shrunk(ground: Ground, steps: list[Step]) -> list[Step]:
    """As few of the steps as still show a difference."""
    size = len(steps) // 2
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if await fails(ground, fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


async def compare(ground: Ground, seeds: Iterable[int]) -> None:
    """Random lives on stores of `ground`, each of them new."""
    for seed in seeds:
        if await fails(ground, random_life(seed)):
            steps = await shrunk(ground, random_life(seed))
            told = "\n".join(f"    {step}," for step in steps)
            raise AssertionError(f"seed {seed}: {await fails(ground, steps)}\nafter\n{told}")


# A lane may offer a job a moment after it was queued, which the model calls a divergence: the
# hybrid store is held to the cases of the suite, which wait for its sweep, and to tests/hybrid.
@pytest.mark.timeout(300 + LIVES)  # to shrink a failure takes a while
@pytest.mark.parametrize("backend", [name for name in BACKENDS if "hybrid" not in name])
async def test_a_store_does_what_the_model_does(
    backend: str, request: pytest.FixtureRequest
) -> None:
    @contextlib.contextmanager
    def ground(clock: FakeClock) -> Iterator[JobStore]:
        with BACKENDS[backend](request) as where:
            yield make_store(where, clock=clock)

    first = randrange(10**9)
    await compare(ground, range(first, first + LIVES))


@pytest.mark.parametrize(
    "faulty",
    [
        planted.NoTokenCheck,
        planted.DeafToCancel,
        planted.LeaseRevived,
        planted.EagerReaper,
        planted.KillsNotCounted,
        planted.ShutdownsCounted,
        planted.BackToTheEnd,
        planted.NoPriorities,
        planted.PauseForgotten,
        planted.StartsExpired,
        planted.KeyNeverReleased,
        planted.KeyNotTakenAgain,
        planted.SubmitOverwrites,
        planted.RetryOfASuccess,
        planted.ExpiresRunning,
        planted.ProgressUnderAnyToken,
        planted.EventsForgotten,
        planted.PurgeOfTheQueuedOnly,
    ],
)
async def test_random_lives_notice_a_fault(faulty: type[ModelStore]) -> None:
    def ground(clock: FakeClock) -> AbstractContextManager[JobStore]:
        return contextlib.nullcontext(faulty(ModelData(), clock))

    with pytest.raises(AssertionError, match="seed"):
        await compare(ground, range(500))


async def test_the_model_does_what_the_model_does() -> None:
    await compare(
        lambda clock: contextlib.nullcontext(ModelStore(ModelData(), clock)), range(LIVES)
    )
