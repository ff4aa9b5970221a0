"""The part of a store that synchronous callers can have without an event loop."""

from collections.abc import Sequence
from typing import Protocol

from ferryman.domain.job import NewJob, Submitted


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

    def close(self) -> None:
        """See `JobStore.close`; the next `submit` connects anew."""
        ...
