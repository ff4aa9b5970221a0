"""Tasks: a registered function with its policy, and the ways to enqueue it."""

import inspect
import typing
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, ParamSpec, TypeVar, overload

import msgspec

from ferryman import codec
from ferryman.client.access import Access
from ferryman.client.context import JobContext
from ferryman.client.handles import JobHandle
from ferryman.client.resources import Resource
from ferryman.domain.errors import ConfigError, InvalidArguments
from ferryman.domain.ids import check_key, check_name, new_id, new_ids
from ferryman.domain.job import JobOptions, NewJob, Submitted
from ferryman.domain.outcomes import Retry
from ferryman.domain.policy import MAX_DELAY, RetryPolicy, TaskPolicy
from ferryman.domain.priority import Priority, parse_priority

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class EnqueueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one enqueue asks for over its task's policy; see `Task.using`."""

    id: str | None = None
    queue: str | None = None
    priority: int | None = None
    delay: float = 0.0
    run_at: datetime | None = None
    expires_in: float | None = None
    unique: str | None = None
    on_conflict: Literal["refuse", "return"] = "refuse"
    user: str | None = None
    tags: tuple[str, ...] = ()
    retry: RetryPolicy | None = None
    timeout: float | None = None
    result_ttl: float | None = None
    session: Any = None

    def __post_init__(self) -> None:
        for name, value in (("id", self.id), ("queue", self.queue)):
            if value is not None:
                check_name(value, "job id" if name == "id" else name)
        for name, value in (("unique", self.unique), ("user", self.user)):
            if value is not None:
                check_key(value, f"{name} key" if name == "unique" else name)
        for tag in self.tags:
            check_name(tag, "tag")
        self._check_times()

    def _check_times(self) -> None:
        if self.run_at is not None and self.run_at.tzinfo is None:
            raise ConfigError(f"run_at={self.run_at} has no time zone: say which moment is meant")
        if self.run_at is not None and self.delay:
            raise ConfigError("delay and run_at exclude each other")
        if not 0 <= self.delay <= MAX_DELAY:
            raise ConfigError(f"delay must lie between 0 and {MAX_DELAY:.0f} s, not {self.delay}")
        for name in ("expires_in", "timeout", "result_ttl"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= MAX_DELAY * 100:
                raise ConfigError(f"{name} must be a number of seconds, 0 or more, not {value}")
        if self.on_conflict not in ("refuse", "return"):
            raise ConfigError(f'on_conflict must be "refuse" or "return", not {self.on_conflict!r}')


class Task(Generic[P, R]):
    """A function that workers run, under its name and with its policy.

    Calling the task calls the function, here and now. A task without a function (`app.named`)
    can only be enqueued: its code lives in another process.
    """

    def __init__(
        self, access: Access, name: str, policy: TaskPolicy, function: Callable[P, R] | None
    ) -> None:
        self._access = access
        self.name = check_name(name, "task name")
        self.policy = policy
        self.function = function
        hints = typing.get_type_hints(function, include_extras=True) if function else {}
        self.resources = _resources_of(hints)
        self.context_parameter = _context_parameter_of(hints)
        injected = {*self.resources, *filter(None, [self.context_parameter])}
        self.signature = codec.Signature(function, frozenset(injected)) if function else None
        self.is_async = function is not None and inspect.iscoroutinefunction(function)
        self._options = EnqueueOptions()
        self._about = self._same_for_all()

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.function is None:
            raise InvalidArguments(f"the code of {self.name!r} is not in this process")
        return self.function(*args, **kwargs)

    def using(
        self,
        *,
        id: str | None = None,
        queue: str | None = None,
        priority: int | str | Priority | None = None,
        delay: float = 0.0,
        run_at: datetime | None = None,
        expires_in: float | None = None,
        unique: str | None = None,
        on_conflict: Literal["refuse", "return"] = "refuse",
        user: str | None = None,
        tags: Iterable[str] = (),
        retry: "Retry | RetryPolicy | None" = None,
        timeout: float | None = None,
        result_ttl: float | None = None,
        session: Any = None,
    ) -> "Task[P, R]":
        """This task with other options for the enqueues that follow.

        Args:
            id: the job's id; a second job of the same id is the same job.
            delay: seconds until it is due. `run_at`: the moment (with a time zone) instead.
            expires_in: seconds after which it is never started any more.
            unique: no second live job of this key in the queue; `on_conflict` says whether the
                second enqueue is refused (`JobExists`) or gives the live job back.
            user: on whose behalf.
            retry, timeout, result_ttl: instead of the task's own.
            session: the caller's SQLAlchemy session or connection; the job exists once it commits.

        Raises:
            InvalidName, ConfigError: an option that cannot be used.
        """
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._options = EnqueueOptions(
            id=id,
            queue=queue,
            priority=None if priority is None else parse_priority(priority),
            delay=delay,
            run_at=run_at,
            expires_in=expires_in,
            unique=unique,
            on_conflict=on_conflict,
            user=user,
            tags=tuple(tags),
            retry=retry.policy if isinstance(retry, Retry) else retry,
            timeout=timeout,
            result_ttl=result_ttl,
            session=session,
        )
        copy._about = copy._same_for_all()
        return copy

    # A coroutine function's task gives the awaited type as its result.
    @overload
    def enqueue(
        self: "Task[P, Coroutine[Any, Any, S]]", *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle[S]: ...
    @overload
    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]: ...
    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[Any]:
        """Ask for one run of the task; returns once the store has taken it in.

        Raises:
            InvalidArguments: they do not fit the function, or are over 1 MiB.
            JobExists: a live job holds the unique key.
            StoreUnavailable, StoreFull: the store did not take it in.
        """
        return self._submit([self.new_job(args, kwargs)])[0]

    delay = enqueue

    @overload
    async def aenqueue(
        self: "Task[P, Coroutine[Any, Any, S]]", *args: P.args, **kwargs: P.kwargs
    ) -> JobHandle[S]: ...
    @overload
    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]: ...
    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[Any]:
        """`enqueue` for asynchronous code."""
        return (await self._asubmit([self.new_job(args, kwargs)]))[0]

    def enqueue_many(
        self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]
    ) -> list[JobHandle[Any]]:
        """Enqueue one job for each tuple of positional or mapping of keyword arguments.

        Raises:
            InvalidArguments: any of them does not fit; none was enqueued then.
        """
        return self._submit(self._new_jobs(calls))

    async def aenqueue_many(
        self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]
    ) -> list[JobHandle[Any]]:
        """`enqueue_many` for asynchronous code."""
        return await self._asubmit(self._new_jobs(calls))

    def new_job(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NewJob:
        """The request that an enqueue with these arguments hands to the store.

        Raises:
            InvalidArguments: they do not fit the function, or are over 1 MiB.
        """
        return self._new_job(self._options.id or new_id(), args, kwargs)

    def _new_job(self, id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NewJob:
        encoded = self._access.encode_args(self.name, args, kwargs)
        return NewJob(id=id, args=encoded, **self._about)

    def _same_for_all(self) -> dict[str, Any]:
        """What all jobs of this task with these options have in common."""
        options = self._options
        return {
            "task": self.name,
            "queue": options.queue or self.policy.queue,
            "priority": self.policy.priority if options.priority is None else options.priority,
            "delay": options.delay,
            "run_at": _milliseconds(options.run_at),
            "expires_in": options.expires_in,
            "unique": options.unique,
            "on_conflict": options.on_conflict,
            "user": options.user,
            "tags": options.tags,
            "options": JobOptions(
                retry=options.retry, timeout=options.timeout, result_ttl=options.result_ttl
            ),
        }

    def _new_jobs(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[NewJob]:
        if self._options.id is not None:
            raise ConfigError("one id cannot name many jobs: leave id out of using()")
        calls = list(calls)
        return [
            self._new_job(id, (), call)
            if isinstance(call, Mapping)
            else self._new_job(id, tuple(call), {})
            for id, call in zip(new_ids(len(calls)), calls, strict=True)
        ]

    def _submit(self, jobs: list[NewJob]) -> list[JobHandle[Any]]:
        if self._options.session is None:
            return self._handles(self._access.submit(jobs))
        submitted = self._access.transactional_store().submit_in(self._options.session, jobs)
        return self._handles(submitted)

    async def _asubmit(self, jobs: list[NewJob]) -> list[JobHandle[Any]]:
        store = await self._access.store()
        submitted = await store.submit(jobs, transaction=self._options.session)
        return self._handles(submitted)

    def _handles(self, submitted: Iterable[Submitted]) -> list[JobHandle[Any]]:
        return [JobHandle(self._access, one.job_id, created=one.created) for one in submitted]


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.astimezone(UTC).timestamp() * 1000)


def _resources_of(hints: Mapping[str, Any]) -> dict[str, Resource]:
    return {
        name: extra
        for name, hint in hints.items()
        if typing.get_origin(hint) is Annotated
        for extra in hint.__metadata__
        if isinstance(extra, Resource)
    }


def _context_parameter_of(hints: Mapping[str, Any]) -> str | None:
    return next((name for name, hint in hints.items() if hint is JobContext), None)
