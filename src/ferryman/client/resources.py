"""Resources: a model, a connection pool, … declared once, alive as long as their process."""

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Final

INJECT: Final[Any] = None
"""A default for parameters that the worker fills in, so that type checkers let callers omit them:
`engine: Annotated[RapidOCR, ocr_engine] = INJECT`. A default is not needed otherwise."""


class Resource:
    """What `@app.resource` makes of a function: a value that jobs share within one process.

    The function returns the value, or yields it once and tears it down after the `yield`; both
    may be asynchronous. It is called at the first job that needs it, or with `--preload`.
    """

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory
        self.name = factory.__qualname__

    def __repr__(self) -> str:
        return f"<Resource {self.name}>"


class LiveResources:
    """The resources of one process, each set up once and torn down in reverse order.

    Args:
        in_thread: set synchronous ones up in a thread, so that the loop goes on meanwhile.
    """

    def __init__(self, *, in_thread: bool) -> None:
        self._in_thread = in_thread
        self._stack = contextlib.AsyncExitStack()
        self._setting_up: dict[Resource, asyncio.Task[Any]] = {}

    async def get(self, resource: Resource) -> Any:
        """The resource's value, set up now if it is not there yet.

        Raises:
            Exception: what its function raised; the next call tries again.
        """
        task = self._setting_up.get(resource)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.ensure_future(self._set_up(resource))
            self._setting_up[resource] = task
        # Shielded: a job that is cancelled while it waits must not take the set-up from others.
        return await asyncio.shield(task)

    async def load(self, resources: Iterable[Resource]) -> None:
        """Set up `resources` one after the other."""
        for resource in resources:
            await self.get(resource)

    async def close(self) -> None:
        """Tear all of them down."""
        self._setting_up.clear()
        await self._stack.aclose()

    async def _set_up(self, resource: Resource) -> Any:
        factory = resource.factory
        if inspect.isasyncgenfunction(factory):
            manager = contextlib.asynccontextmanager(factory)()
            return await self._stack.enter_async_context(manager)
        if inspect.iscoroutinefunction(factory):
            return await factory()
        if inspect.isgeneratorfunction(factory):
            generator_manager = contextlib.contextmanager(factory)()
            value = await self._call(generator_manager.__enter__)
            self._stack.push(generator_manager)
            return value
        return await self._call(factory)

    async def _call(self, function: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(function) if self._in_thread else function()
