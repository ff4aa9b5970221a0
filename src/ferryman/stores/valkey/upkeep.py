"""What keeps the queues in order: reaping, promoting, expiring, pruning. Safe in any number."""

from typing import Final

from ferryman.domain.states import JobState
from ferryman.stores.gathering import BATCH
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.operators import Operators
from ferryman.stores.valkey.records import milliseconds

REMEMBER_WORKERS: Final = 3600.0
"""Seconds that a worker whose lease is over is listed as gone."""


class Upkeep(Operators):
    """The steps of the maintenance loops; each goes through all queues in one round trip."""

    async def reap(self, limit: int = BATCH) -> list[tuple[str, JobState]]:
        """See `JobStore.reap`."""
        now = self._now()
        age = milliseconds(REMEMBER_WORKERS)
        given = await self._sweep(
            limit, lambda target, share: calls.reap(target, now, share, age), len
        )
        await self._link.run(calls.forget_workers(self._keys.shared, now, age), repeat=True)
        self._tally.failed(
            queue for queue, moves in given for _, state in moves if state is JobState.FAILED
        )
        return [move for _, moves in given for move in moves]

    async def promote(self, limit: int = BATCH) -> tuple[int, float | None]:
        """See `JobStore.promote`."""
        now = self._now()
        given = await self._sweep(
            limit, lambda target, share: calls.promote(target, now, share), lambda reply: reply[0]
        )
        waits = [wait for _, wait in dict(given).values() if wait is not None]  # the latest of each
        return sum(moved for _, (moved, _) in given), min(waits, default=None)

    async def expire(self, limit: int = BATCH) -> int:
        """See `JobStore.expire`."""
        now = self._now()
        given = await self._sweep(
            limit, lambda target, share: calls.expire(target, now, share), int
        )
        for queue, failed in given:
            self._tally.failed([queue] * failed)
        return sum(failed for _, failed in given)

    async def prune(
        self,
        *,
        dead_letter_ttl: float | None = None,
        max_history: int | None = None,
        limit: int = BATCH,
    ) -> int:
        """See `JobStore.prune`."""
        now = self._now()
        age = -1 if dead_letter_ttl is None else milliseconds(dead_letter_ttl)
        history = -1 if max_history is None else max_history
        given = await self._sweep(
            limit, lambda target, share: calls.prune(target, now, share, age, history), int
        )
        return sum(pruned for _, pruned in given)
