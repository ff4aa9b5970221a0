"""What stands beside the processes that run jobs: the keeper of their leases, and the upkeep."""

import asyncio
import socket
import uuid
from importlib.metadata import version
from typing import Self

from ferryman.domain.job import WorkerInfo
from ferryman.settings import Settings
from ferryman.stores import make_store
from ferryman.worker.keeper import Keeper
from ferryman.worker.upkeep import Upkeep


class Keeping:
    """A keeper and the upkeep, each with a store of its own: a slow sweep delays no renewal."""

    def __init__(self, settings: Settings) -> None:
        self._stores = (make_store(settings), make_store(settings))
        self._upkeep: asyncio.Task[None] | None = None
        self._settings = settings
        self.lease = settings.lease
        self.keeper = Keeper(self._stores[0], settings)

    async def open(self) -> Self:
        """Connect, and begin with the upkeep.

        Raises:
            StoreUnavailable, StoreUnsafe: as for `JobStore.open`.
        """
        try:
            for store in self._stores:
                await store.open()
        except BaseException:
            await self.close()
            raise
        self._upkeep = asyncio.create_task(Upkeep(self._stores[1], self._settings).run())
        return self

    async def close(self) -> None:
        """Stop everything. Workers that were not released are left to the reapers."""
        await self.keeper.close()
        if self._upkeep is not None:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
        for store in self._stores:
            await store.close()


def new_identity(name: str, pid: int, queues: tuple[str, ...], concurrency: int) -> WorkerInfo:
    """An identity that nobody had before, so that no lease is ever inherited."""
    return WorkerInfo(
        id=uuid.uuid4().hex,
        name=name,
        host=socket.gethostname(),
        pid=pid,
        queues=queues,
        concurrency=concurrency,
        version=version("ferryman"),
    )


def default_name(pid: int) -> str:
    """What a worker is called that nobody named; always a legal name."""
    host = "".join(c if c.isascii() and c.isalnum() else "-" for c in socket.gethostname())
    return f"{host.strip('-')[:100] or 'worker'}-{pid}"
