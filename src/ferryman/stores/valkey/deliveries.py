"""What workers ask for: leases, claims, endings, hand-backs.

A worker's lease is kept once for all its queues, and each queue that it claims from gets a copy:
a claim must see it in its own slot. The copy is made at the first claim. One that ended stays for
a while, so that it is over in that queue, and not made anew.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, TypeVar

import msgspec

from ferryman.domain.errors import ConfigError, IllegalTransition, LeaseLost
from ferryman.domain.job import Delivery, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, legal
from ferryman.stores.base import ClaimRequest, ProgressUpdate, Renewal, Verdict
from ferryman.stores.gathering import BATCH, BATCH_BYTES, bounded
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.calls import Claimed, HandBack, Moves, Target
from ferryman.stores.valkey.codes import Code
from ferryman.stores.valkey.connection import Call
from ferryman.stores.valkey.operators import Operators
from ferryman.stores.valkey.records import milliseconds, pack_id

Q = TypeVar("Q", Ending, ProgressUpdate)

_NO_TRANSACTION: Final = (
    "a job in Valkey cannot be completed in a transaction of a database: let its function return, "
    "or keep the jobs in the database (FERRYMAN_DATABASE_URL)"
)


class Deliveries(Operators):
    """The verbs of those who run jobs."""

    # -- leases --------------------------------------------------------------------------------

    async def register(self, worker: WorkerInfo, lease: float) -> None:
        """See `JobStore.register`."""
        description = msgspec.msgpack.encode(worker)
        call = calls.register(
            self._keys.shared, self._now(), worker.id, milliseconds(lease), description
        )
        await self._link.run(call, repeat=True)

    async def renew(self, worker: WorkerInfo, lease: float) -> Renewal:
        """See `JobStore.renew`. The lease holds only if every queue that knows it says so."""
        duration = milliseconds(lease)
        description = msgspec.msgpack.encode(worker)
        extend = calls.extend(self._keys.shared, self._now(), worker.id, duration, description)
        queues = await self._link.run(extend, repeat=True)
        if queues is None:
            return Renewal(live=False)
        now = self._now()
        renewed = await self._link.run_all(
            [calls.renew(self._target(queue), now, worker.id, duration) for queue in queues],
            repeat=True,
        )
        cancels = tuple(one for stops in renewed for one in stops or ())
        return Renewal(live=None not in renewed, cancels=cancels)

    async def unregister(self, worker: WorkerInfo) -> None:
        """See `JobStore.unregister`."""
        queues = await self._link.run(calls.leave_all(self._keys.shared, worker.id))
        await self._link.run_all(
            [calls.leave(self._target(queue), worker.id) for queue in queues], repeat=True
        )

    async def _joined(self, worker: str) -> list[str]:
        key = f"{self._keys.shared}joined:".encode() + pack_id(worker)
        reply = await self._link.run(calls.command("SMEMBERS", key), repeat=True)
        return sorted(name.decode() for name in reply)

    # -- claims --------------------------------------------------------------------------------

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        """See `JobStore.claim`. Queue after queue, until the limit is reached."""
        deliveries = await self._claim_on(request, request.queues, [])
        self._tally.claimed(deliveries)
        return deliveries

    async def _claim_on(
        self, request: ClaimRequest, queues: Sequence[str], have: list[Delivery]
    ) -> list[Delivery]:
        deliveries = list(have)
        for queue in queues:
            more = True
            while more and len(deliveries) < request.limit:
                room = request.limit - len(deliveries)
                claimed = await self._claim_from(request.worker, queue, room)
                deliveries += claimed.deliveries
                more = claimed.more
        return deliveries

    async def _claim_from(self, worker: str, queue: str, room: int) -> Claimed:
        claimed = await self._claim_with(worker, queue, room, join_until=0)
        return await self._with_lease(worker, queue, room, claimed)

    async def _claim_with(self, worker: str, queue: str, room: int, join_until: int) -> Claimed:
        # Never repeated: the jobs of a lost reply run under the worker, who must come to know it.
        call = calls.claim(self._target(queue), self._now(), worker, room, join_until)
        return await self._link.run(call)

    async def _with_lease(self, worker: str, queue: str, room: int, claimed: Claimed) -> Claimed:
        """The claim, made again with the worker's lease where the queue did not know it.

        Raises:
            LeaseLost: there is no lease that holds.
        """
        if claimed.code in (Code.NO_LEASE, Code.UNKNOWN_QUEUE):
            known = claimed.code is Code.NO_LEASE
            call = calls.join(self._keys.shared, self._now(), worker, queue if known else "")
            end = await self._link.run(call)
            if end and not known:
                return Claimed(Code.APPLIED, False, [])  # nothing was ever in this queue
            if end:
                claimed = await self._claim_with(worker, queue, room, end)
        if claimed.code is Code.APPLIED:
            return claimed
        raise LeaseLost(
            f"the worker {worker} has no lease that holds, so it gets no jobs of the queue "
            f"{queue}: stop its jobs, and register under a new id"
        )

    # -- endings -------------------------------------------------------------------------------

    async def finish(self, endings: Sequence[Ending]) -> list[Verdict]:
        """See `JobStore.finish`. One script call a queue, all in one round trip."""
        _check_endings(endings)
        now = self._now()
        verdicts = await self._by_queue(
            endings, _ending_size, lambda target, part: calls.finish(target, now, part)
        )
        self._tally.ended(endings, verdicts)
        return verdicts

    def finish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        """There are no transactions to join here.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(_NO_TRANSACTION)

    async def afinish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        """There are no transactions to join here.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(_NO_TRANSACTION)

    async def finish_and_claim(
        self, endings: Sequence[Ending], request: ClaimRequest
    ) -> tuple[list[Verdict], list[Delivery]]:
        """See `JobStore.finish_and_claim`.

        Where all endings are of the first queue, and that queue fills the worker, it is one round
        trip; endings of other queues go ahead of it.
        """
        here = [ending for ending in endings if ending.queue in request.queues[:1]]
        if not here or len(here) > BATCH or sum(map(_ending_size, here)) > BATCH_BYTES:
            return await self.finish(endings), await self.claim(request)
        _check_endings(endings)
        first = request.queues[0]
        ahead = iter(await self.finish([one for one in endings if one.queue != first]))
        target = self._target(first)
        call = calls.finish_and_claim(target, self._now(), here, request.worker, request.limit)
        given, claimed = await self._link.run(call)
        self._tally.ended(here, given)
        deliveries = await self._claimed_on(request, claimed)
        self._tally.claimed(deliveries)
        verdicts = iter(given)
        return [
            next(verdicts) if one.queue == first else next(ahead) for one in endings
        ], deliveries

    async def _claimed_on(self, request: ClaimRequest, claimed: Claimed) -> list[Delivery]:
        """What the first queue gave together with endings, and what comes on top of it."""
        first, *others = request.queues
        claimed = await self._with_lease(request.worker, first, request.limit, claimed)
        queues = [first, *others] if claimed.more else others
        return await self._claim_on(request, queues, claimed.deliveries)

    async def progress(self, updates: Sequence[ProgressUpdate]) -> list[Verdict]:
        """See `JobStore.progress`."""
        now = self._now()
        return await self._by_queue(
            updates, _update_size, lambda target, part: calls.progress(target, now, part)
        )

    async def _by_queue(
        self,
        items: Sequence[Q],
        size: Callable[[Q], int],
        call: Callable[[Target, list[Q]], Call[list[Verdict]]],
    ) -> list[Verdict]:
        """One call for the items of each queue, in one round trip; verdicts in their order."""
        queues: dict[str, list[Q]] = {}
        for item in items:
            queues.setdefault(item.queue, []).append(item)
        parts = [part for group in queues.values() for part in bounded(group, size)]
        given = await self._link.run_all(
            [call(self._target(part[0].queue), part) for part in parts], repeat=True
        )
        verdicts: dict[str, list[Verdict]] = {queue: [] for queue in queues}
        for part, part_given in zip(parts, given, strict=True):
            verdicts[part[0].queue] += part_given
        in_order = {queue: iter(group) for queue, group in verdicts.items()}
        return [next(in_order[item.queue]) for item in items]

    # -- hand-backs ----------------------------------------------------------------------------

    async def hand_back(
        self,
        worker: WorkerInfo,
        *,
        kill: bool,
        spare: Collection[str] = (),
        keep: Collection[str] = (),
    ) -> list[tuple[str, JobState]]:
        """See `JobStore.hand_back`."""
        what = HandBack(worker.id, kill, spare, keep)
        moves: Moves = []
        for queue in await self._joined(worker.id):
            moves += await self._hand_back_in(queue, what)
        return moves

    async def _hand_back_in(self, queue: str, what: HandBack) -> Moves:
        moves: Moves = []
        looked, kept = BATCH, 0
        while looked == BATCH:
            looked, stay, moved = await self._link.run(
                calls.hand_back(self._target(queue), self._now(), what, BATCH, kept)
            )
            kept += stay
            moves += moved
        return moves


def _check_endings(endings: Sequence[Ending]) -> None:
    for ending in endings:
        if not legal(JobState.RUNNING, ending.state):
            raise IllegalTransition(f"no delivery of {ending.job_id} can end as {ending.state}")


def _ending_size(ending: Ending) -> int:
    return len(ending.result or b"")


def _update_size(update: ProgressUpdate) -> int:
    return len(update.checkpoint or b"") + sum(len(line.text) for line in update.lines)
