"""The Valkey store, put together from its parts."""

from datetime import datetime

from ferryman.stores.base import Finding, Pace
from ferryman.stores.valkey import doctor
from ferryman.stores.valkey.feed import Feed
from ferryman.stores.valkey.producers import Producers
from ferryman.stores.valkey.upkeep import Upkeep
from ferryman.stores.valkey.waiting import Waiting


class ValkeyStore(Producers, Waiting, Upkeep, Feed):
    """A `JobStore` on a Valkey or Redis server: records, queues, leases and results in one.

    Args:
        settings: `valkey_url`, `namespace` and `store_timeout` are used.
        clock: epoch milliseconds, instead of the server's clock.

    Raises:
        ConfigError: no URL, or one that cannot be used.
    """

    @property
    def kind(self) -> str:
        """`"valkey"`, whichever of the two the server is."""
        return "valkey"

    @property
    def pace(self) -> Pace:
        """Some calls at once: while the server works on one, the worker does on another."""
        return Pace(exchanges=4)

    @property
    def degraded(self) -> bool:
        """There is no lane to do without."""
        return False

    async def open(self) -> None:
        """See `JobStore.open`."""
        doctor.refuse_unsafe(await doctor.examine(self._link), self._settings.allow)

    async def close(self) -> None:
        """See `JobStore.close`."""
        await self._tally.close()
        await self._channels.close()
        await self._blocking.close()
        await self._link.close()

    async def check(self) -> list[Finding]:
        """See `JobStore.check`."""
        return doctor.findings(await doctor.examine(self._link), self._settings.valkey_url or "")

    async def now(self) -> datetime:
        """See `JobStore.now`."""
        return await self._moment()
