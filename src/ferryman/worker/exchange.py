"""A worker's traffic with its store: endings go, deliveries come, and no reply is ever trusted
to have arrived."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from ferryman.domain.job import Delivery, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.stores import JobStore
from ferryman.stores.base import ClaimRequest, Verdict
from ferryman.stores.optional import WaitingClaims

LATE: Final = 1.0
"""Seconds that a server may take to make a claim whose time to wait is over."""


class Traded(NamedTuple):
    """A verdict for each ending, new deliveries, and whether it came to claiming any."""

    verdicts: list[Verdict]
    deliveries: list[Delivery]
    claimed: bool


class Exchange:
    """Finishes and claims under one worker's identity.

    A claim whose reply is lost may have been made all the same: then jobs run under this worker
    that it does not know of, and its lease keeps them from everybody else. So after such a call,
    and once a lease in any case, all but the known ones go back: a server may be slow, or come
    back from a power failure without the last endings that it had acknowledged. No other call may
    be under way then, for what it is about to bring is not known either.

    A claim that waits at the server may be made there long after its connection is lost. So what
    it may have taken is looked for at once, and again when its time is over.
    """

    def __init__(self, store: JobStore, info: WorkerInfo, lease: float) -> None:
        self._store = store
        self._info = info
        self._lease = lease
        self._in_doubt = False
        self._waiting = False
        self._made_by = 0.0
        self.can_wait: Final = isinstance(store, WaitingClaims)
        self.look_again_at = time.monotonic() + lease

    @property
    def overdue(self) -> bool:
        """Whether it is time to look for lost deliveries; until that is done nothing is claimed.

        As long as a claim waits at the server it cannot be, and that is not for long.
        """
        if self._waiting:
            return False
        return self._in_doubt or time.monotonic() >= self.look_again_at

    async def trade(self, endings: Sequence[Ending], limit: int) -> Traded:
        """Write `endings` and claim up to `limit` jobs, in one call where both are wanted.

        Raises:
            StoreError: nothing of it is sure; calling again with the same endings is safe.
            LeaseLost: the lease is over.
        """
        if not limit:
            return Traded(await self._store.finish(endings), [], claimed=False)
        request = self._request(limit)
        try:
            if not endings:
                return Traded([], await self._store.claim(request), claimed=True)
            return Traded(*await self._store.finish_and_claim(endings, request), claimed=True)
        except BaseException:
            self._in_doubt = True
            raise

    async def wait(self, limit: int, timeout: float) -> Traded:
        """Claim up to `limit` jobs as soon as there are any, or see after `timeout` seconds.

        Raises:
            StoreError, LeaseLost: as `trade`.
        """
        assert isinstance(self._store, WaitingClaims)  # noqa: S101 - narrows the type
        self._waiting = True
        until = time.monotonic() + timeout
        try:
            deliveries = await self._store.wait_and_claim(self._request(limit), timeout)
        except BaseException:
            self._in_doubt = True
            self._made_by = until + LATE
            raise
        finally:
            self._waiting = False
        return Traded([], deliveries, claimed=True)

    async def rouse(self) -> None:
        """Let the call to `wait` come back now.

        Raises:
            StoreError: it may come back later.
        """
        if isinstance(self._store, WaitingClaims):
            await self._store.rouse(self._request(0))

    def _request(self, limit: int) -> ClaimRequest:
        return ClaimRequest(worker=self._info.id, queues=self._info.queues, limit=limit)

    async def look(self, endings: Sequence[Ending], held: Callable[[], Collection[str]]) -> Traded:
        """Write `endings`, and hand back what runs under this worker without its knowing.

        Args:
            held: the ids of the jobs that run here, without those of `endings`.

        Raises:
            StoreError, LeaseLost: as `trade`.
        """
        # First the endings: their jobs are not held, and must not be handed back.
        verdicts = await self._store.finish(endings) if endings else []
        await self._store.hand_back(self._info, kill=False, keep=held())
        self._in_doubt = False
        now = time.monotonic()
        self.look_again_at = self._made_by if now < self._made_by else now + self._lease
        return Traded(verdicts, [], claimed=False)
