"""Transactions of the caller: which objects stand for one, and how work joins it."""

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from ferryman.domain.errors import ConfigError
from ferryman.stores.sql.borrowed import (
    is_asynchronous,
    kind_of_driver,
    on_borrowed,
    on_borrowed_async,
)
from ferryman.stores.sql.dialect import Kind

T = TypeVar("T")
Announce = Callable[[Iterable[Any]], None]

_PENDING: Final = "ferryman_pending"


def join(transaction: Any, kind: Kind, work: Callable[[Connection], T]) -> T:
    """Do `work` in a synchronous session's or connection's transaction.

    Raises:
        ConfigError: `transaction` is something else, or is on another kind of database.
    """
    if isinstance(transaction, Session | scoped_session):
        transaction = transaction.connection()
    driver = kind_of_driver(transaction)
    if driver is not None and not is_asynchronous(transaction):
        _require_same(driver, kind)
        return on_borrowed(transaction, kind, work)
    if not isinstance(transaction, Connection):
        raise ConfigError(
            f"a {type(transaction).__name__} is no transaction that jobs can be part of: pass a "
            "SQLAlchemy Session or Connection here (or a connection of psycopg or sqlite3), or an "
            "AsyncSession or AsyncConnection (or one of psycopg's or aiosqlite's) to the "
            "asynchronous method (`aenqueue`)"
        )
    _require_same(transaction.dialect.name, kind)
    return work(transaction)


def _require_same(name: str, kind: Kind) -> None:
    if name != kind:
        text = f"the transaction is on {name}, and Ferryman's database is {kind}: use one database"
        raise ConfigError(text)


async def join_async(transaction: Any, kind: Kind, work: Callable[[Connection], T]) -> T:
    """Do `work` in an asynchronous session's or connection's transaction.

    Raises:
        ConfigError: `transaction` is something else, or is on another kind of database.
    """
    if isinstance(transaction, async_scoped_session):
        transaction = transaction()
    if isinstance(transaction, AsyncSession | AsyncConnection):
        return await transaction.run_sync(lambda inner: join(inner, kind, work))
    driver = kind_of_driver(transaction)
    if driver is not None and is_asynchronous(transaction):
        _require_same(driver, kind)
        return await on_borrowed_async(transaction, kind, work)
    if driver is not None or isinstance(transaction, Session | scoped_session | Connection):
        name = type(transaction).__name__
        raise ConfigError(f"a {name} blocks the event loop: use the synchronous `enqueue`")
    return join(transaction, kind, work)


def when_committed(transaction: Any, items: Iterable[Any], announce: Announce) -> None:
    """Announce `items` once the session has committed, together with those announced alike.

    A plain connection says when a commit begins but not that it is done, so its jobs are found by
    the next look of whoever waits for work.
    """
    if isinstance(transaction, scoped_session):
        transaction = transaction()
    if isinstance(transaction, async_scoped_session):
        transaction = transaction()
    if isinstance(transaction, AsyncSession):
        transaction = transaction.sync_session
    if isinstance(transaction, Session):
        if _PENDING not in transaction.info:
            event.listen(transaction, "after_commit", _announce_pending)
        pending = transaction.info.setdefault(_PENDING, {})
        pending.setdefault(announce, set()).update(items)


def _announce_pending(session: Session) -> None:
    pending = session.info[_PENDING]
    for announce, items in list(pending.items()):
        announce(tuple(items))
    pending.clear()
