"""The short way for one synchronous caller at a time; all others take the portal."""

import atexit
import contextlib
import os
import threading
from collections.abc import Sequence
from typing import Final

from ferryman.client.portal import abandon
from ferryman.domain.errors import StoreError
from ferryman.domain.job import NewJob, Submitted
from ferryman.settings import Settings
from ferryman.stores import DirectStore, make_direct_store
from ferryman.stores.tally import FLUSH

PATIENCE: Final = 1.0
"""Seconds that `close` waits for a caller."""


class Direct:
    """Hands jobs to the store in the calling thread, where the store can be had that way.

    Who comes while another thread is at it is sent to the portal, where callers share calls.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._store: DirectStore | None = None
        self._timer: threading.Timer | None = None

    def submit(self, jobs: Sequence[NewJob]) -> list[Submitted] | None:
        """See `JobStore.submit`; `None` is: nothing was done, take the portal."""
        if self._pid != os.getpid():
            self._forget_parent()
        if not self._lock.acquire(blocking=False):
            return None
        try:
            store = self._store or self._opened()
            if store is None:
                return None
            if self._timer is None:
                self._timer = self._started_timer()
            return store.submit(jobs)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection; the next `submit` opens a new one."""
        if self._pid != os.getpid():
            return
        # A caller that was interrupted at the wrong moment may have left it locked.
        if not self._lock.acquire(timeout=PATIENCE):
            return
        try:
            store, self._store = self._store, None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if store is not None:
                store.close()
        finally:
            self._lock.release()

    def _opened(self) -> DirectStore | None:
        store = make_direct_store(self._settings)
        if store is None:
            return None
        try:
            store.open()
        except BaseException:
            store.close()
            raise
        # A script that ends without `close()` still says goodbye to its server.
        atexit.unregister(self.close)
        atexit.register(self.close)
        self._store = store
        return store

    def _started_timer(self) -> threading.Timer:
        """What was counted for charts is written later, though no further call may come."""
        timer = threading.Timer(FLUSH, self._write_figures)
        timer.daemon = True
        timer.name = "ferryman-figures"
        timer.start()
        return timer

    def _write_figures(self) -> None:
        with self._lock:
            self._timer = None
            if self._store is not None:
                with contextlib.suppress(StoreError):  # the next time, then
                    self._store.write_figures()

    def _forget_parent(self) -> None:
        """A forked child has the parent's socket, and maybe a held lock."""
        abandon(self._store)
        self._lock = threading.Lock()
        self._store = None
        self._timer = None
        self._pid = os.getpid()
