"""Two processes' stores on one ground, and the model, that are told the same; with mishaps.

After a mishap that the store could not heal the caller does what a worker or a client does: it
makes the call again, or, where that would claim more jobs, looks later at what runs under its name.
"""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from redis import Redis

from ferryman.domain.errors import StoreUnavailable
from ferryman.domain.job import Delivery, NewJob, Progress, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState
from ferryman.stores import JobStore
from ferryman.stores.base import ClaimRequest, ProgressUpdate, Verdict
from ferryman.stores.hybrid.store import HybridStore
from tests.clock import FakeClock
from tests.contract.mishaps import Mishaps, Slip
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.contract.sights import answer, comparable, differences, either, received, seen
from tests.contract.world import new_job

IDS: Final = tuple(f"job-{number}" for number in range(8))
QUEUES: Final = ("q0", "q1")
SLOTS: Final = 2
LEASE: Final = 30.0
LOOK_EVERY: Final = 10
"""Steps after which all is compared, and not only the jobs."""

TICK: Final = 0.016
"""Seconds from one step to the next. All waits are multiples of half of it, plus the number of the
job in milliseconds: no two jobs are due in the same millisecond, where their order would be open.
"""

AGAIN = (JobState.SCHEDULED, JobState.QUEUED)

Ask = Callable[[JobStore], Awaitable[Any]]


class Lives:
    """The twins, the model, and what their callers know.

    Args:
        twins: stores on one empty ground, opened.
        clock: theirs.
        server: the Valkey or Redis server that they use, if any.
    """

    def __init__(
        self, twins: Sequence[JobStore], clock: FakeClock, server: Redis | None = None
    ) -> None:
        self.twins = twins
        self.mishaps = [Mishaps(store) for store in twins]
        self.model = ModelStore(ModelData(), clock)
        self.clock = clock
        self.server = server
        self.deliveries: list[Delivery] = []
        self.workers: list[WorkerInfo] = []
        self._applied: set[tuple[str, int, JobState]] = set()
        self._names = itertools.count(1)
        self._steps = 0

    async def begin(self) -> None:
        """Open the stores, and let the workers register."""
        for store in self.twins:
            await store.open()
        await self.sweep()
        self.workers = [await self._joined(0, None) for _ in range(SLOTS)]

    async def step(self, verb: str, arguments: dict[str, Any]) -> None:
        """Take one step; afterwards both know the same jobs."""
        await getattr(self, verb)(**arguments)
        for one in self.mishaps:
            await one.settled()
        if any(one.met for one in self.mishaps):
            await self._swept()
        real = await self.twins[self._steps % len(self.twins)].get(IDS)
        for expected, found in zip(await self.model.get(IDS), real, strict=True):
            unlike = differences(comparable(expected), comparable(found))
            assert not unlike, f"after {verb}: {unlike}"
        self.clock.advance(TICK)
        self._steps += 1
        if self._steps % LOOK_EVERY == 0:
            await self._look(self._steps // LOOK_EVERY % 2)

    async def end(self) -> None:
        """Look for the last time."""
        for by in range(len(self.twins)):
            await self._look(by)

    async def close(self) -> None:
        """Close the stores."""
        for store, mishaps in zip(self.twins, self.mishaps, strict=True):
            mishaps.end()
            await store.close()

    # -- asking ------------------------------------------------------------------------------

    async def _try(self, ask: Ask, by: int, slip: Slip | None) -> tuple[Any, bool]:
        """What a twin answers, and whether it had to be told that its call may be lost."""
        mishaps = self.mishaps[by]
        mishaps.prepare(slip)
        try:
            return await answer(mishaps.asked(ask)), False
        except StoreUnavailable:
            assert mishaps.met, "the store fails though nothing happened to it"
            assert mishaps.befell("truth"), "what befell the lane reached the caller"
            return None, True
        finally:
            mishaps.disarm()

    async def _both(self, ask: Ask, by: int, slip: Slip | None) -> None:
        """Ask both, and after a mishap once more: then either answer may be given."""
        expected = await answer(ask(self.model))
        found, unsure = await self._try(ask, by, slip)
        if unsure:
            found = await answer(ask(self.twins[by]))
        if self.mishaps[by].met:
            again = await answer(ask(self.model))
            assert either(found, expected, again), f"{found}, and not {expected} or {again}"
        else:
            assert found == expected, f"{found}, and not {expected}"

    # -- producers ---------------------------------------------------------------------------

    async def submit(
        self, jobs: Sequence[dict[str, Any]], by: int, slip: Slip | None = None
    ) -> None:
        new = [_job(**one) for one in jobs]
        await self._both(lambda store: store.submit(new), by, slip)

    async def cancel(self, ids: list[str], by: int, slip: Slip | None = None) -> None:
        await self._both(lambda store: store.cancel(ids, by="anna"), by, slip)

    async def retry(
        self, ids: list[str], args: bytes | None, by: int, slip: Slip | None = None
    ) -> None:
        await self._both(lambda store: store.retry(ids, args=args), by, slip)

    async def discard(self, ids: list[str], by: int, slip: Slip | None = None) -> None:
        await self._both(lambda store: store.discard(ids), by, slip)

    async def admit(self, ids: list[str], by: int, slip: Slip | None = None) -> None:
        await self._both(lambda store: store.admit(ids), by, slip)

    # -- workers -----------------------------------------------------------------------------

    async def _joined(self, by: int, slip: Slip | None) -> WorkerInfo:
        name = f"w{next(self._names)}"
        info = WorkerInfo(id=name, name=name, host="h", pid=1, queues=QUEUES, concurrency=4)
        await self._both(lambda store: store.register(info, LEASE), by, slip)
        return info

    async def restart(self, slot: int, unregister: bool, by: int, slip: Slip | None = None) -> None:
        old = self.workers[slot]
        if unregister:
            await self._both(lambda store: store.unregister(old), by, slip)
        self.workers[slot] = await self._joined(by, slip)

    async def renew(self, slot: int, by: int, slip: Slip | None = None) -> None:
        async def ask(store: JobStore) -> tuple[bool, list[tuple[str, int]]]:
            renewal = await store.renew(self.workers[slot], LEASE)
            return renewal.live, sorted(renewal.cancels)

        await self._both(ask, by, slip)

    async def claim(
        self,
        slot: int,
        limit: int,
        backwards: bool,
        fresh: bool,
        looks: bool,
        fed: Sequence[dict[str, Any]],
        by: int,
        slip: Slip | None = None,
    ) -> None:
        if fed:
            await self.submit(fed, 1 - by)
        request = await self._request(slot, limit, fresh, by, backwards=backwards)
        found, unsure = await self._try(lambda store: store.claim(request), by, slip)
        if unsure:
            await self._after_a_lost_claim(request, looks, by)
        else:
            await self._received(request, found, by)

    async def _request(
        self, slot: int, limit: int, fresh: bool, by: int, *, backwards: bool = False
    ) -> ClaimRequest:
        """Of a worker that holds a lease, if `fresh`: else one that lost it starts anew."""
        if fresh and not self.model._live(self.workers[slot].id):
            self.workers[slot] = await self._joined(by, None)
        queues = QUEUES[::-1] if backwards else QUEUES
        return ClaimRequest(worker=self.workers[slot].id, queues=queues, limit=limit)

    async def _received(self, request: ClaimRequest, found: Any, by: int) -> None:
        """The answer to a claim is what the model says.

        A store that claims in several calls does not tell of the last one if its reply was lost,
        so that the worker gets the others; the rest is as after any claim that was lost.
        """
        if self.mishaps[by].befell("truth") and isinstance(found, list):
            expected = await self._claimed_at_all(request, by)
            assert all(one in received(expected) for one in received(found)), (
                f"{found}, and not {expected}"
            )
        else:
            expected = await self._claimed(request, found)
            assert received(found) == received(expected), f"{found}, and not {expected}"
        self.deliveries += found if isinstance(found, list) else []

    async def _claimed_at_all(self, request: ClaimRequest, by: int) -> list[Delivery]:
        """The jobs that a claim took, whatever it said: those that are next, or fewer, or none."""
        pairs = zip(await self.model.get(IDS), await self.twins[by].get(IDS), strict=True)
        claimed = [
            real
            for model, real in pairs
            if real and model and real.state is JobState.RUNNING and real.token > model.token
        ]
        assert len(claimed) <= request.limit
        if not claimed:
            return []
        request = msgspec.structs.replace(request, limit=len(claimed))
        deliveries: list[Delivery] = await self._claimed(request, claimed)
        return deliveries

    async def _claimed(self, request: ClaimRequest, found: Any) -> Any:
        """What the model gives, where the store gave `found`.

        While one process cannot push to a lane that another takes from, the sweep is all that the
        other hears of some jobs by: others that come later may go before them.
        """
        down = {one.lane_down for one in self.mishaps}
        if len(down) == 1 or isinstance(found, str):
            return await answer(self.model.claim(request))
        return self._claimed_these(
            request, [getattr(one, "job_id", None) or one.id for one in found]
        )

    def _claimed_these(self, request: ClaimRequest, ids: list[str]) -> list[Delivery]:
        model = self.model
        may = [one for queue in request.queues for one in model._in_order(queue)]
        records = {one.job.id: one for one in may if not model._too_late(one.job)}
        assert len(ids) == min(request.limit, len(records)), f"{ids} of {list(records)}"
        return [model._deliver(records[job_id], request.worker) for job_id in ids]

    async def _after_a_lost_claim(self, request: ClaimRequest, looks: bool, by: int) -> None:
        """The worker knows of no job that was claimed for it, until it looks."""
        await self._claimed_at_all(request, by)
        if looks:
            slot = [worker.id for worker in self.workers].index(request.worker)
            await self.hand_back(slot, False, [], self._known(request.worker), by)

    def _known(self, worker: str) -> list[str]:
        """The jobs that a worker knows that it runs."""
        records = self.model.data.records
        return [
            one.job_id
            for one in self.deliveries
            if (record := records.get(one.job_id))
            and (record.job.worker, record.job.token) == (worker, one.token)
        ]

    async def finish(
        self, which: list[int], fields: dict[str, Any], by: int, slip: Slip | None = None
    ) -> None:
        if endings := self._endings(which, fields):
            await self._finish(endings, by, slip)

    async def _finish(self, endings: list[Ending], by: int, slip: Slip | None) -> None:
        expected = await self.model.finish(endings)
        found, unsure = await self._try(lambda store: store.finish(endings), by, slip)
        if unsure:
            found = await self.twins[by].finish(endings)
        self._agree(endings, expected, found)

    def _endings(self, which: list[int], fields: dict[str, Any]) -> list[Ending]:
        """How some of the latest deliveries end, be they over or not.

        In the order of their ids: which of them is queued first, if they are, is open.
        """
        known = self.deliveries[-10:][::-1]
        chosen = {number % len(known): None for number in which} if known else {}
        endings = [_ending(known[number], **fields) for number in chosen]
        return sorted(endings, key=lambda one: (one.job_id, one.token))

    def _agree(self, endings: list[Ending], expected: list[Verdict], found: list[Verdict]) -> None:
        """How long a store remembers an applied ending, to know its repeat, is up to it, but at
        least until something else happens to the job."""
        for one, wanted, given in zip(endings, expected, found, strict=True):
            key = (one.job_id, one.token, one.state)
            remembered = key in self._applied and (wanted, given) == ("stale", "applied")
            assert given == wanted or remembered, f"{given} and not {wanted}: {one}"
            if wanted is Verdict.APPLIED:
                # Which was applied cannot be told any more once a request to stop came first.
                alike = (*AGAIN, JobState.CANCELLED) if one.state in AGAIN else (one.state,)
                self._applied |= {(one.job_id, one.token, state) for state in alike}

    async def finish_and_claim(
        self,
        which: list[int],
        fields: dict[str, Any],
        slot: int,
        limit: int,
        fresh: bool,
        looks: bool,
        by: int,
        slip: Slip | None = None,
    ) -> None:
        request = await self._request(slot, limit, fresh, by)
        endings = self._endings(which, fields)

        async def ask(store: JobStore) -> Any:
            return await store.finish_and_claim(endings, request)

        expected = await self.model.finish(endings)
        found, unsure = await self._try(ask, by, slip)
        if unsure:
            await self._after_a_lost_exchange(endings, expected, request, looks, by)
            return
        if isinstance(found, str):  # no lease; the endings were perhaps not written
            await self._received(request, found, by)
            self._agree(endings, expected, await self.twins[by].finish(endings))
            return
        self._agree(endings, expected, found[0])
        await self._received(request, found[1], by)

    async def _after_a_lost_exchange(
        self,
        endings: list[Ending],
        expected: list[Verdict],
        request: ClaimRequest,
        looks: bool,
        by: int,
    ) -> None:
        """The worker writes its endings again; only then it looks what was claimed for it."""
        before = {job.id: job.token for job in await self.model.get(IDS) if job}
        found = await self.twins[by].finish(endings)
        again = {
            job.id for job in await self.twins[by].get(IDS) if job and job.token > before[job.id]
        }
        for at, one in enumerate(endings):
            if one.job_id in again and found[at] is Verdict.STALE:
                found[at] = expected[at]  # its next delivery has begun
        self._agree(endings, expected, found)
        await self._after_a_lost_claim(request, looks, by)

    async def hand_back(
        self,
        slot: int,
        kill: bool,
        spare: list[str],
        keep: list[str],
        by: int,
        slip: Slip | None = None,
        fed: Sequence[dict[str, Any]] = (),
    ) -> None:
        if fed:
            await self.claim(slot, 2, False, True, False, fed, by)
        worker = self.workers[slot]

        async def ask(store: JobStore) -> list[tuple[str, JobState]]:
            return sorted(await store.hand_back(worker, kill=kill, spare=spare, keep=keep))

        await self._both(ask, by, slip)

    async def progress(
        self, which: list[int], current: int, by: int, slip: Slip | None = None
    ) -> None:
        known = self.deliveries[-10:][::-1]
        updates = [
            ProgressUpdate(
                job_id=known[number % len(known)].job_id,
                queue=known[number % len(known)].queue,
                token=known[number % len(known)].token,
                progress=Progress(current, 7) if current % 2 else None,
                checkpoint=b"%d" % current if current > 3 else None,
            )
            for number in (which if known else ())
        ]
        await self._both(lambda store: store.progress(updates), by, slip)

    async def zombie(self, slot: int, reaped: bool, fields: dict[str, Any], by: int) -> None:
        """A worker is stopped past its lease, and then goes on as if nothing had happened."""
        self.clock.advance(LEASE + 2.0)
        if reaped:
            await self.reap(0.0, 1 - by)
        worker = self.workers[slot].id
        await self.renew(slot, by)
        await self.progress([0, 1], 5, by)
        await self.finish([0], fields, by)
        await self.claim(slot, 2, False, False, False, [], by)
        await self.hand_back(slot, False, [], self._known(worker), by)

    # -- upkeep and queues -------------------------------------------------------------------

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def reap(self, after: float, by: int, slip: Slip | None = None) -> None:
        self.clock.advance(after)

        async def ask(store: JobStore) -> list[tuple[str, JobState]]:
            return sorted(await store.reap())

        await self._both(ask, by, slip)

    async def promote(self, after: float, by: int, slip: Slip | None = None) -> None:
        self.clock.advance(after)
        await self._both(lambda store: store.promote(), by, slip)

    async def expire(self, after: float, by: int, slip: Slip | None = None) -> None:
        self.clock.advance(after)
        await self._both(lambda store: store.expire(), by, slip)

    async def prune(
        self, max_history: int | None, ttl: float | None, by: int, slip: Slip | None = None
    ) -> None:
        await self._both(
            lambda store: store.prune(dead_letter_ttl=ttl, max_history=max_history), by, slip
        )

    async def pause(self, queue: str, by: int, slip: Slip | None = None) -> None:
        await self._both(lambda store: store.pause(queue), by, slip)

    async def resume(self, queue: str, by: int, slip: Slip | None = None) -> None:
        await self._both(lambda store: store.resume(queue), by, slip)

    async def purge(self, queue: str, by: int, slip: Slip | None = None) -> None:
        await self._both(lambda store: store.purge(queue), by, slip)

    # -- servers -----------------------------------------------------------------------------

    async def forget_scripts(self) -> None:
        """As a server does that was started again."""
        if self.server is not None:
            self.server.script_flush()

    async def sweep(self) -> None:
        """See to it that the lane has what it should have."""
        # Always in the same process: of several one compares the lane, whichever comes first.
        if isinstance(self.twins[0], HybridStore):
            await self.twins[0].sweep()

    async def flush(self, swept: bool) -> None:
        """The lane loses all that it has."""
        if isinstance(self.twins[0], HybridStore) and self.server is not None:
            self.server.flushall()
        if swept:
            await self.sweep()

    async def partition(self, down: tuple[bool, bool]) -> None:
        """The lane cannot be reached, or can again, by each of the two processes."""
        for one, is_down in zip(self.mishaps, down, strict=True):
            one.lane_down = is_down
            await one.settled()
        await self._swept()

    async def _swept(self) -> None:
        """Whoever did not hear that a job is new did not push it: the second look finds it."""
        await self.sweep()
        await self.sweep()

    # -- what must be the same ---------------------------------------------------------------

    async def _look(self, by: int) -> None:
        """Compare all that readers see."""
        pairs = zip(await seen(self.model, IDS), await seen(self.twins[by], IDS), strict=True)
        for expected, found in pairs:
            assert found == expected, f"{found}, and not {expected}"


def _job(job_id: str, delay: float = 0.0, **fields: Any) -> NewJob:
    queue = QUEUES[IDS.index(job_id) % 2]
    return new_job(job_id, queue=queue, delay=_distinct(delay, job_id), **fields)


def _distinct(delay: float, job_id: str) -> float:
    return delay + IDS.index(job_id) / 1000 if delay else 0.0


def _ending(delivery: Delivery, state: JobState, delay: float, **fields: Any) -> Ending:
    if not state.terminal:
        fields["ttl"] = None
    return Ending(
        job_id=delivery.job_id,
        queue=delivery.queue,
        token=delivery.token,
        state=state,
        delay=_distinct(delay or 1.0, delivery.job_id) if state is JobState.SCHEDULED else 0.0,
        result=b"1" if state is JobState.SUCCEEDED else None,
        **fields,
    )
