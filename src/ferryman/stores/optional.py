"""What some stores can do beside the protocol."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ferryman.domain.job import Delivery, NewJob, Submitted
from ferryman.stores.base import ClaimRequest


@runtime_checkable
class WaitingClaims(Protocol):
    """What a store has beside, where a claim can wait at the server for the jobs that it takes."""

    async def wait_and_claim(self, request: ClaimRequest, timeout: float) -> list[Delivery]:
        """Claim when one of the queues may have a job, or after `timeout` seconds.

        The claim is made at the server, so it is as much in doubt as any other where the reply is
        lost or not waited for.

        Raises:
            LeaseLost: the worker has no lease that holds; nothing was claimed.
        """
        ...

    async def rouse(self, request: ClaimRequest) -> None:
        """Let the call that waits under this request claim what there is, and return."""
        ...


class DirectStore(Protocol):
    """The part of a store that takes jobs in, for one thread at a time and without an event loop.

    Its methods block, and are as those of `JobStore`.
    """

    def open(self) -> None:
        """See `JobStore.open`."""
        ...

    def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        """See `JobStore.submit`."""
        ...

    def write_figures(self) -> None:
        """Write what was counted for charts since the last time.

        Raises:
            StoreError: it could not be written, and is still there.
        """
        ...

    def close(self) -> None:
        """See `JobStore.close`; the next `submit` connects anew."""
        ...
