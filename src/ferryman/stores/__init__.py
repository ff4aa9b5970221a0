"""The stores, and the one place that chooses among them."""

import msgspec

from ferryman.embedded import running_url
from ferryman.settings import Settings
from ferryman.stores.base import Clock, JobStore
from ferryman.stores.optional import DirectStore


def make_store(settings: Settings, clock: Clock | None = None) -> JobStore:
    """The store that `settings` name, not yet opened.

    With nothing named it is the embedded default: a SQLite file below the working directory, and
    as its lane the server that `ferryman dev` runs there, while it does.

    Raises:
        ConfigError: the settings name a store that cannot be had.
    """
    if settings.database_url and settings.valkey_url:
        from ferryman.stores.hybrid.store import HybridStore

        return HybridStore(settings, clock=clock)
    if not settings.configured and (lane := running_url()) is not None:
        from ferryman.stores.hybrid.store import HybridStore

        return HybridStore(msgspec.structs.replace(settings, valkey_url=lane), clock=clock)
    if settings.valkey_url:
        from ferryman.stores.valkey.store import ValkeyStore

        return ValkeyStore(settings, clock=clock)
    from ferryman.stores.sql.store import SqlStore

    return SqlStore(settings, clock=clock)


def make_direct_store(settings: Settings) -> DirectStore | None:
    """The store that `settings` name as one that needs no event loop, not yet opened.

    `None` is: it needs one. Only jobs that go to Valkey alone can do without.

    Raises:
        ConfigError: the settings name a store that cannot be had.
    """
    if settings.database_url or not settings.valkey_url:
        return None
    from ferryman.stores.valkey.direct import DirectStore as ValkeyDirectStore

    return ValkeyDirectStore(settings)


__all__ = ["Clock", "DirectStore", "JobStore", "make_direct_store", "make_store"]
