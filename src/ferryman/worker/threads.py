"""Threads for synchronous jobs: reused, as many as run at a time, and never waited for at exit."""

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

_Work = tuple[
    "asyncio.Future[tuple[Any, BaseException | None]]", contextvars.Context, Callable[[], Any]
]


class Threads:
    """Runs calls for one event loop.

    Not a `ThreadPoolExecutor`: the interpreter joins the threads of one when it exits, and a job
    that never ends would keep the worker from leaving.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0

    async def run(self, call: Callable[[], Any]) -> Any:
        """What `call` returns or raises, in a thread with a copy of the present context."""
        future: asyncio.Future[tuple[Any, BaseException | None]]
        future = asyncio.get_running_loop().create_future()
        self._work.put((future, contextvars.copy_context(), call))
        if self._idle:
            self._idle -= 1
        else:
            self._threads += 1
            threading.Thread(target=self._serve, name="ferryman-job", daemon=True).start()
        value, error = await future
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """End the threads, each after the call that it may be in."""
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = self._idle = 0

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            future, context, call = work
            del work
            try:
                result: tuple[Any, BaseException | None] = (context.run(call), None)
            except BaseException as error:
                result = (None, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(self._done, future, result)
            # A thread that rests must not keep the last job's values alive.
            del future, context, call, result

    def _done(
        self,
        future: "asyncio.Future[tuple[Any, BaseException | None]]",
        result: tuple[Any, BaseException | None],
    ) -> None:
        self._idle += 1
        if not future.done():
            future.set_result(result)
