"""One open store for each event loop: connections belong to the loop that made them."""

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator

from ferryman.client.portal import abandon
from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store


class Connections:
    """Opens a store when a loop first asks for one, and closes it with that loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pid = os.getpid()
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Slot] = (
            weakref.WeakKeyDictionary()
        )
        self._unopened: JobStore | None = None

    async def store(self) -> JobStore:
        """The open store of the running loop.

        Raises:
            StoreUnavailable: the server cannot be reached; the next call tries again.
            StoreUnsafe: a setting of the server breaks a promise.
        """
        if self._pid != os.getpid():
            self._forget_parent()
        loop = asyncio.get_running_loop()
        slot = self._slots.get(loop)
        if slot is None:
            slot = self._slots[loop] = _Slot()
        if slot.store is None:
            async with slot.opening:
                if slot.store is None:
                    await self._open(slot)
        assert slot.store is not None  # noqa: S101 - narrows the type
        return slot.store

    def unopened(self) -> JobStore:
        """A store that has no connection, for writes over one that the caller brings."""
        if self._unopened is None:
            self._unopened = make_store(self._settings)
        return self._unopened

    async def close(self) -> None:
        """Close the running loop's store; the next use opens a new one."""
        slot = self._slots.pop(asyncio.get_running_loop(), None)
        if slot is not None and slot.lifetime is not None:
            await slot.lifetime.aclose()

    async def _open(self, slot: "_Slot") -> None:
        store = make_store(self._settings)
        try:
            await store.open()
        except BaseException:
            await store.close()
            raise
        # A loop's shutdown closes the asynchronous generators that began on it: this one makes
        # sure that a script which ends with `asyncio.run` leaves no connection behind.
        slot.lifetime = _lifetime(store)
        await anext(slot.lifetime)
        slot.store = store

    def _forget_parent(self) -> None:
        abandon((dict(self._slots), self._unopened))
        self._slots = weakref.WeakKeyDictionary()
        self._unopened = None
        self._pid = os.getpid()


class _Slot:
    """A loop's store, and what closes it."""

    def __init__(self) -> None:
        self.opening = asyncio.Lock()
        self.store: JobStore | None = None
        self.lifetime: AsyncGenerator[None, None] | None = None


async def _lifetime(store: JobStore) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await store.close()
