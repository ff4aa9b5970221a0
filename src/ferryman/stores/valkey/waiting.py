"""Claims that wait at the server: the job that wakes one is claimed in the same round trip."""

from typing import Any

from ferryman.domain.job import Delivery
from ferryman.stores.base import ClaimRequest
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.connection import Call
from ferryman.stores.valkey.deliveries import Deliveries
from ferryman.stores.valkey.hints import BLOCK, LEAST_BLOCK, MARGIN, Hints
from ferryman.stores.valkey.records import pack_id


class Waiting(Deliveries, Hints):
    """The verbs of those who have nothing to do until a job comes. See `WaitingClaims`."""

    async def wait_and_claim(self, request: ClaimRequest, timeout: float) -> list[Delivery]:
        """See `WaitingClaims.wait_and_claim`.

        The claim from the first queue is sent right behind the blocking read. The server makes it
        once that read has ended, however it ended, and before it reads from anybody else.
        """
        first, worker = request.queues[0], request.worker
        keys = [self._keys.wake(queue) for queue in request.queues]
        block = max(LEAST_BLOCK, min(timeout, BLOCK))
        both: list[Call[Any]] = [
            calls.command("BLPOP", *keys, self._keys.rouse(first, pack_id(worker)), block),
            calls.claim(self._target(first), self._now(), worker, request.limit, 0),
        ]
        _, claimed = await self._blocking.run_all(both, timeout=block + MARGIN)
        deliveries = await self._claimed_on(request, claimed)
        self._tally.claimed(deliveries)
        return deliveries

    async def rouse(self, request: ClaimRequest) -> None:
        """See `WaitingClaims.rouse`."""
        target = self._target(request.queues[0])
        await self._link.run(calls.rouse(target, request.worker), repeat=True)
