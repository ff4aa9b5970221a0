"""The client: the tasks of an application, and its way to the store."""

from collections.abc import Callable, Coroutine
from typing import Any, Literal, ParamSpec, TypeVar, overload

from ferryman.client.access import Access
from ferryman.client.collections import DeadLetters, Jobs, Queues, Workers
from ferryman.client.context import Completion
from ferryman.client.handles import JobHandle
from ferryman.client.resources import Resource
from ferryman.client.task import Task
from ferryman.domain.errors import ConfigError, UnknownTask
from ferryman.domain.ids import check_name
from ferryman.domain.job import Delivery
from ferryman.domain.outcomes import Retry
from ferryman.domain.policy import RetryPolicy, TaskPolicy, parse_bytes
from ferryman.domain.priority import Priority, parse_priority
from ferryman.settings import Settings
from ferryman.stores import JobStore

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Client:
    """Registers tasks, enqueues jobs and looks at them. Making one opens nothing.

    Safe to use from any thread, any event loop, and any process forked after it was made.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tasks: dict[str, Task[..., Any]] = {}
        self.resources: dict[str, Resource] = {}
        self._access = Access(settings)
        self.jobs = Jobs(self._access)
        self.queues = Queues(self._access)
        self.dead_letters = DeadLetters(self._access)
        self.workers = Workers(self._access)

    # -- declaring -----------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str = "default",
        priority: int | str | Priority = 0,
        retry: Retry | RetryPolicy | int | None = None,
        timeout: float | None = None,
        isolation: Literal["process"] | None = None,
        memory_limit: int | str | None = None,
        result_ttl: float = 86400.0,
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Register a function as a task: `@app.task` or `@app.task(queue="ocr", …)`.

        Args:
            name: the task's name, by which its jobs find it; else the function's.
            queue, priority: where its jobs go.
            retry: a `Retry(...)`; a number is `Retry(max_attempts=number)`; `None` is one try.
            timeout: seconds that one attempt may take.
            isolation: `"process"` runs each job in a supervised child process, which can be killed.
            memory_limit: bytes, or text such as `"1 GiB"`; needs `isolation="process"`.
            result_ttl: seconds that a succeeded job and its result are kept.

        Raises:
            ConfigError: options that contradict each other, or a name that is taken.
            InvalidArguments: an annotation whose values cannot travel as JSON.
        """
        if function is not None:
            return self._register(function)
        return lambda decorated: self._register(decorated, **options)

    def _register(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        priority: int | str | Priority = 0,
        retry: Retry | RetryPolicy | int | None = None,
        memory_limit: int | str | None = None,
        **policy: Any,
    ) -> Task[..., Any]:
        name = name or function.__name__
        if name in self.tasks:
            raise ConfigError(f"two tasks are called {name!r}: give one of them another name=")
        complete = TaskPolicy(
            priority=parse_priority(priority),
            retry=_retry_policy(retry),
            memory_limit=None if memory_limit is None else parse_bytes(memory_limit),
            **policy,
        )
        check_name(complete.queue, "queue")
        task = self.tasks[name] = Task(self._access, name, complete, function)
        if task.signature is not None:
            self._access.signatures[name] = task.signature
        return task

    def resource(self, factory: Callable[[], Any]) -> Resource:
        """Declare a value that lives as long as the process that uses it: `@app.resource`.

        Jobs ask for it with a parameter `engine: Annotated[Engine, the_resource]`.
        """
        resource = Resource(factory)
        if resource.name in self.resources:
            raise ConfigError(f"two resources are called {resource.name!r}: rename one of them")
        self.resources[resource.name] = resource
        return resource

    def named(self, name: str, *, queue: str = "default") -> Task[..., Any]:
        """The task of this name; where its code is not in this process, one to enqueue with.

        Args:
            queue: where the jobs go of a task whose code is not here.
        """
        known = self.tasks.get(name)
        return (
            known if known is not None else Task(self._access, name, TaskPolicy(queue=queue), None)
        )

    def completion(self, delivery: Delivery) -> Completion:
        """What a running job needs to complete itself in its own transaction."""
        task = self.tasks.get(delivery.task)
        ttl = delivery.options.result_ttl
        default = (task.policy if task else TaskPolicy()).result_ttl
        return Completion(self._access.transactional_store, default if ttl is None else ttl)

    def lookup(self, name: str) -> Task[..., Any]:
        """The registered task of this name.

        Raises:
            UnknownTask: there is none; the message lists those that are.
        """
        if name not in self.tasks:
            known = ", ".join(sorted(self.tasks)) or "none"
            raise UnknownTask(f"no task is called {name!r} here; the registered ones are: {known}")
        return self.tasks[name]

    # -- using ---------------------------------------------------------------------------------

    def enqueue(self, name: str, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Enqueue by the task's name; no worker code needs to be imported.

        For options use `app.named(name, queue=…).using(…).enqueue(…)`.

        Raises:
            InvalidArguments, StoreUnavailable, StoreFull: as for `Task.enqueue`.
        """
        return self.named(name).enqueue(*args, **kwargs)

    async def aenqueue(self, name: str, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """`enqueue` for asynchronous code."""
        return await self.named(name).aenqueue(*args, **kwargs)

    def close(self) -> None:
        """Let go of the connections that synchronous calls opened. Later calls open new ones."""
        self._access.close()

    async def aclose(self) -> None:
        """Let go of the running loop's connections. Later calls open new ones."""
        await self._access.aclose()

    async def store(self) -> JobStore:
        """The open store of the running event loop, for the parts of Ferryman.

        Raises:
            StoreUnavailable: the server cannot be reached.
        """
        return await self._access.store()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine of this client from synchronous code."""
        return self._access.run(coroutine)


def _retry_policy(retry: Retry | RetryPolicy | int | None) -> RetryPolicy:
    match retry:
        case None:
            return RetryPolicy()
        case Retry():
            return retry.policy
        case RetryPolicy():
            return retry
        case int():
            return RetryPolicy(max_attempts=retry)
        case _:
            raise ConfigError(f"retry must be a Retry(...) or a number of tries, not {retry!r}")
