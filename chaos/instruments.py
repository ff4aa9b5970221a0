"""Instruments: put round the store's calls in a process that is part of a run, from outside.

The product knows nothing of them. They write down each ending and report with its verdict, each
call that fails, and they hold the fail points: before and after each call to a server.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final, NamedTuple

from sqlalchemy import event
from sqlalchemy.engine import Engine

from chaos import actor, failpoints, plants
from chaos.history import Renewed, Trouble, Write, Written, now
from ferryman.stores.hybrid.relay import Relay
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.hybrid.sweep import Sweep
from ferryman.stores.sql.engine import LoopRunner, ThreadRunner
from ferryman.stores.sql.store import SqlStore
from ferryman.stores.valkey.connection import Call as StoreCall
from ferryman.stores.valkey.connection import Link
from ferryman.stores.valkey.store import ValkeyStore

VERBS: Final = (
    *("submit", "admit", "cancel", "retry", "register", "renew", "unregister", "claim", "finish"),
    *("finish_and_claim", "hand_back", "progress", "reap", "promote", "expire", "prune"),
)
"""The verbs of the protocol that change something."""

INSIDE: Final = (
    (Relay, "_push", "push"),
    (Sweep, "once", "sweep"),
    (SqlStore, "_submit_each", "submit"),
    (ValkeyStore, "_submit_each", "submit"),
)
"""What a store does by itself: class, method, and what it is called."""

GROUPED: Final = ("hand_back", "reap", "submit", "submit_each")
"""Transactions that do the same for one group of jobs after the other, as often as it comes."""

BESIDE: Final = ("notify",)
"""Transactions that send hints, of whichever verb, from a task beside it; they may be lost."""

Call = Callable[..., Awaitable[Any]]


class Operation:
    """A verb under way.

    Attributes:
        over: it has returned; what it left running in the background is no part of it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.over = False


class Transaction:
    """What the SQL store does in one transaction; several may be under way in a verb.

    Attributes:
        statements: how many of each kind there were in it.
        call: the latest one by its name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.statements: Counter[str] = Counter()
        self.call = ""


_operation: ContextVar[Operation | None] = ContextVar("chaos_operation", default=None)
_transaction: ContextVar[Transaction | None] = ContextVar("chaos_transaction", default=None)


@functools.cache
def install() -> None:
    """Put the instruments round the stores of this process, which may have a planted fault."""
    plants.install()
    for store in (SqlStore, HybridStore, ValkeyStore):
        for verb in VERBS:
            if verb in vars(store) or store is ValkeyStore:
                setattr(store, verb, _told(verb, getattr(store, verb)))
    for owner, method, name in INSIDE:
        setattr(owner, method, _within(name, getattr(owner, method)))
    setattr(Link, "_once", _between(Link._once))  # noqa: B010 - not for type checkers
    setattr(LoopRunner, "_once", _committed(LoopRunner._once))  # noqa: B010
    setattr(ThreadRunner, "_once", _committed(_carried(ThreadRunner._once)))  # noqa: B010
    setattr(ThreadRunner, "_transact", _carrying(ThreadRunner._transact))  # noqa: B010
    event.listen(Engine, "before_cursor_execute", _before_statement)
    event.listen(Engine, "after_cursor_execute", _after_statement)
    event.listen(Engine, "commit", lambda *_: _before_statement(None, None, "commit"))


# -- verbs ---------------------------------------------------------------------------------------


def _told(verb: str, function: Call) -> Call:
    """A verb of a store, with what is written down about it."""

    @functools.wraps(function)
    async def call(store: Any, *args: Any, **kwargs: Any) -> Any:
        outer = _operation.get()
        if outer is not None and not outer.over:
            return await function(store, *args, **kwargs)  # a store's part, or its base class
        number = _write(verb, args)
        began = now()
        async with _operating(verb):
            try:
                answer = await function(store, *args, **kwargs)
            except Exception as error:
                _trouble(verb, began, error)
                raise
            if verb == "renew" and answer.live:
                actor.recorder().add(Renewed(t=now(), worker=args[0].id, began=began))
            if number is not None:
                verdicts = answer[0] if verb == "finish_and_claim" else answer
                said = tuple(verdict.value for verdict in verdicts)
                actor.recorder().add(Written(t=now(), number=number, verdicts=said))
            return answer

    return call


def _trouble(verb: str, began: int, error: BaseException) -> None:
    said = f"{type(error).__name__}: {error}"
    actor.recorder().add(Trouble(t=now(), verb=verb, began=began, error=said))


def _write(verb: str, args: tuple[Any, ...]) -> int | None:
    """Write down what is about to be written, if that is endings or reports."""
    if verb not in ("finish", "finish_and_claim", "progress") or not args[0]:
        return None
    recorder = actor.recorder()
    number = recorder.number()
    if verb == "progress":
        of = tuple((one.job_id, one.token, "") for one in args[0])
        recorder.add(Write(t=now(), number=number, what="progress", of=of))
    else:
        of = tuple((one.job_id, one.token, one.state.value) for one in args[0])
        recorder.add(Write(t=now(), number=number, what="finish", of=of))
    return number


def _within(name: str, function: Call) -> Call:
    """What a store does by itself, as an operation of its own."""

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        async with _operating(name):
            return await function(*args, **kwargs)

    return call


@contextlib.asynccontextmanager
async def _operating(name: str) -> AsyncIterator[None]:
    operation = Operation(name)
    token, outer = _operation.set(operation), _transaction.set(Transaction(""))
    try:
        yield
    finally:
        operation.over = True
        _operation.reset(token)
        _transaction.reset(outer)


# -- calls to servers ----------------------------------------------------------------------------


def _between(exchange: Call) -> Call:
    """An exchange with a Valkey server, between two fail points."""

    @functools.wraps(exchange)
    async def call(link: Link, calls: Sequence[StoreCall[Any]]) -> Any:
        names = (str(one.arguments[0]) if one.script is None else one.script.name for one in calls)
        name = "+".join(dict.fromkeys(names))
        _passed(name, "before")
        began = now()
        try:
            answer = await exchange(link, calls)
        except BaseException as error:  # also when a store with a database gives up waiting
            _trouble("exchange", began, error)
            raise
        _passed(name, "after")
        return answer

    return call


def _committed(once: Call) -> Call:
    """A transaction of the SQL store, and a fail point once it is committed."""

    @functools.wraps(once)
    async def call(runner: Any, work: Callable[..., Any], *args: Any) -> Any:
        transaction = None if work.__name__ in BESIDE else Transaction(work.__name__)
        outer = _transaction.set(transaction)
        try:
            answer = await once(runner, work, *args)
        finally:
            _transaction.reset(outer)
        if transaction is not None:
            _passed(transaction.call, "after")
        return answer

    return call


class _Carried(NamedTuple):
    """Work on its way to another thread, with the operation that it is part of."""

    work: Callable[..., Any]
    context: Context


def _carried(once: Call) -> Call:
    @functools.wraps(once)
    async def call(runner: Any, work: Callable[..., Any], *args: Any) -> Any:
        return await once(runner, _Carried(work, copy_context()), *args)

    return call


def _carrying(transact: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(transact)
    def call(runner: Any, carried: _Carried, *args: Any) -> Any:
        return carried.context.run(transact, runner, carried.work, *args)

    return call


def _before_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    transaction = _transaction.get()
    if transaction is not None:
        kind = statement.split(maxsplit=1)[0].lower()
        if transaction.name not in GROUPED:
            transaction.statements[kind] += 1
        number = transaction.statements[kind]
        transaction.call = f"{transaction.name}.{kind}" + (f"-{number}" if number > 1 else "")
        _passed(transaction.call, "before")


def _after_statement(*_: Any) -> None:
    transaction = _transaction.get()
    if transaction is not None:
        _passed(transaction.call, "after")


def _passed(call: str, where: str) -> None:
    """Come past the fail point before or after a call to a server."""
    operation = _operation.get()
    if call and operation is not None and not operation.over:
        failpoints.passed(f"{operation.name}:{call}:{where}")
