"""One event loop in a thread of its own, so that synchronous code can use the asynchronous one."""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

AtEnd = Callable[[], Coroutine[Any, Any, None]]

_abandoned: Final[list[object]] = []
"""What a forked child inherited and must neither use nor finalise: the parent's sockets.

Dropping the last reference would run finalisers that talk to the server over them.
"""


def abandon(inherited: object) -> None:
    """Keep something that belongs to the parent process alive, unused, for ever."""
    _abandoned.append(inherited)


class Portal:
    """Runs coroutines on its own loop for callers in any thread, and in any forked child.

    The loop starts at the first call. It is a daemon thread: it never keeps a process alive.

    Args:
        at_end: awaited on the loop before whatever is left there is cancelled.
    """

    def __init__(self, at_end: AtEnd | None = None) -> None:
        self._at_end = at_end
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result, or its exception, once it is done on the portal's loop.

        Raises:
            RuntimeError: called on the portal's own thread, where waiting would never end.
        """
        loop = self._running_loop()
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("use the method with the a-prefix here: this is the portal's thread")
        call = _Call(coroutine)
        loop.call_soon_threadsafe(call.begin)
        try:
            call.wait()
        except BaseException:
            # An interrupted caller (Ctrl-C) must not leave the call behind, half done.
            loop.call_soon_threadsafe(call.cancel)
            raise
        return call.result()

    def close(self) -> None:
        """Stop the loop; the next `run` starts a new one."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._pid != os.getpid():
            self._forget_parent()
        with self._lock:
            if self._loop is None:
                self._start()
            assert self._loop is not None  # noqa: S101 - narrows the type
            return self._loop

    def _forget_parent(self) -> None:
        """A forked child has the parent's loop, but not its thread, and maybe a held lock."""
        abandon((self._loop, self._thread))
        self._lock = threading.Lock()
        self._loop = self._thread = None
        self._pid = os.getpid()

    def _start(self) -> None:
        loop = new_event_loop()
        ready = threading.Event()
        loop.call_soon(ready.set)
        self._thread = threading.Thread(
            target=_serve, args=(loop, self._at_end), name="ferryman-portal", daemon=True
        )
        self._thread.start()
        ready.wait()
        self._loop = loop
        # A script that ends without `close()` still says goodbye to its servers.
        atexit.unregister(self.close)
        atexit.register(self.close)


class _Call(Generic[T]):
    """A coroutine on the portal's loop, for which a thread waits.

    A lock is all that the two share: a future of `concurrent.futures` costs more than the rest.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None
        self._ended = threading.Lock()
        self._ended.acquire()

    def begin(self) -> None:
        """Start it; on the loop."""
        self._task = asyncio.ensure_future(self._coroutine)
        self._task.add_done_callback(lambda _: self._ended.release())

    def cancel(self) -> None:
        """Cancel it; on the loop."""
        if self._task is not None:
            self._task.cancel()

    def wait(self) -> None:
        """Return once it has ended; in the thread."""
        self._ended.acquire()

    def result(self) -> T:
        """What it returned or raised."""
        assert self._task is not None  # noqa: S101 - narrows the type
        if self._task.cancelled():
            raise CancelledError("the portal was closed meanwhile")
        return self._task.result()


def _serve(loop: asyncio.AbstractEventLoop, at_end: AtEnd | None) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        if at_end is not None:
            loop.run_until_complete(at_end())
        _cancel_all(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where it is installed, else of asyncio."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
