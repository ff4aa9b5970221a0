"""API keys, and what operators did."""

import re
from functools import cached_property
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Connection, Text, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ferryman.domain.errors import ConfigError
from ferryman.domain.operators import KEPT_ACTIONS, ActionPage, ApiKey, OperatorAction
from ferryman.stores.sql.dialect import AnyRow, Dialect
from ferryman.stores.sql.records import clean, encode, moment, moment_or_none
from ferryman.stores.sql.tables import actions, keys

_CURSOR: Final = re.compile(r"[0-9]{1,18}")

_key: Final = msgspec.json.Decoder(ApiKey).decode
_action: Final = msgspec.json.Decoder(OperatorAction).decode


class Operators:
    """Keeps keys and actions."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        of_id = keys.c.id == bindparam("of_id", type_=Text)
        self._one = select(keys).where(of_id)
        self._all = select(keys).order_by(keys.c.created_at, keys.c.id)
        self._revoke = (
            update(keys)
            .where(of_id, keys.c.revoked_at.is_(None))
            .values(revoked_at=dialect.now)
            .returning(keys.c.id)
        )

    # -- keys --------------------------------------------------------------------------------

    def keys(self, connection: Connection) -> list[ApiKey]:
        """Every key."""
        return [_read_key(row) for row in connection.execute(self._all)]

    def key(self, connection: Connection, key_id: str) -> ApiKey | None:
        """One key."""
        row = connection.execute(self._one, {"of_id": key_id}).first()
        return None if row is None else _read_key(row)

    def add_key(self, connection: Connection, key: ApiKey) -> ApiKey:
        """Keep a key.

        Raises:
            ConfigError: there is one of this id.
        """
        new: Any = postgresql.insert if self._dialect.postgresql else sqlite.insert
        values = {"id": key.id, "created_at": self._dialect.now, "body": encode(key)}
        added = connection.execute(
            new(keys).values(values).on_conflict_do_nothing().returning(keys.c.id)
        )
        if added.first() is None:
            raise ConfigError(f"there is an API key {key.id} already")
        return _read_key(connection.execute(self._one, {"of_id": key.id}).one())

    def revoke_key(self, connection: Connection, key_id: str) -> bool:
        """Revoke a key."""
        return connection.execute(self._revoke, {"of_id": key_id}).first() is not None

    # -- actions -----------------------------------------------------------------------------

    def record(self, connection: Connection, action: OperatorAction) -> None:
        """Write down an action, and forget the oldest of too many."""
        action = OperatorAction(
            who=clean(action.who),
            verb=clean(action.verb),
            target=clean(action.target),
            detail=clean(action.detail),
        )
        connection.execute(insert(actions).values(at=self._dialect.now, body=encode(action)))
        newest = select(func.max(actions.c.number)).scalar_subquery()
        connection.execute(delete(actions).where(actions.c.number <= newest - KEPT_ACTIONS))

    def actions(self, connection: Connection, limit: int, cursor: str | None) -> ActionPage:
        """A page of actions, the latest first."""
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise ConfigError(f"{cursor[:100]!r} is no cursor of this store")
        before = 2**62 if cursor is None else int(cursor)
        wanted = self._page.limit(limit + 1)
        rows = list(connection.execute(wanted, {"before": before}))
        found = tuple(_read_action(row) for row in rows[:limit])
        return ActionPage(found, str(rows[limit - 1].number) if len(rows) > limit else None)

    @cached_property
    def _page(self) -> Any:
        before = actions.c.number < bindparam("before", type_=BigInteger)
        return select(actions).where(before).order_by(actions.c.number.desc())


def _read_key(row: AnyRow) -> ApiKey:
    moments = {
        "created_at": moment(row.created_at),
        "revoked_at": moment_or_none(row.revoked_at),
    }
    return msgspec.structs.replace(_key(row.body), **moments)


def _read_action(row: AnyRow) -> OperatorAction:
    return msgspec.structs.replace(_action(row.body), at=moment(row.at))
