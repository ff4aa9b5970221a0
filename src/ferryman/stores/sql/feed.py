"""The feed: what happened to all jobs, read on from a cursor with no gap and no repeat.

SQLite numbers events in the order of their commits, so a cursor is the last number read.

PostgreSQL gives a number away before its transaction commits, so lower numbers may appear later.
A cursor there is the highest number read and the transactions that were under way then: those are
the only ones that a lower number may still come from. The next read takes what they wrote below
that number, and all above it. Nobody waits for anybody's long transaction, numbers that were never
used cost nothing, and a cursor is as long as there are transactions at once.
"""

import re
from functools import cached_property
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    literal_column,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from ferryman.domain.errors import ConfigError
from ferryman.stores.base import FeedPage
from ferryman.stores.sql.dialect import Dialect
from ferryman.stores.sql.records import to_event
from ferryman.stores.sql.tables import events, jobs

_CURSOR: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18})((?:-[0-9]{1,18})*))?")

TOLD: Final = select(events, jobs.c.task, jobs.c.queue, jobs.c.user_key).join_from(
    events, jobs, jobs.c.id == events.c.job_id
)
"""Events with what is told of their jobs."""


class _Cursor(NamedTuple):
    """All events up to the number `seq` were read, but for those of transactions that were under
    way: `running`, and all from the number `following` on."""

    seq: int
    following: int = 0
    running: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.following:
            return str(self.seq)
        return "-".join(map(str, (f"{self.seq}.{self.following}", *self.running)))


def _read(cursor: str) -> _Cursor:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ConfigError(f"{cursor[:100]!r} is no cursor of this store: pass on what a page gave")
    seq, following, running = match.groups(default="")
    return _Cursor(
        int(seq), int(following or 0), tuple(int(number) for number in running.split("-")[1:])
    )


class Feed:
    """Reads the feed. Each page is one statement, and so of one snapshot."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def page(self, connection: Connection, cursor: str | None, limit: int) -> FeedPage:
        """What happened since `cursor`; with none, where the feed stands."""
        if cursor is None:
            return FeedPage((), str(self._end(connection)))
        since = _read(cursor)
        if self._dialect.postgresql:
            return self._page_of_snapshot(connection, since, limit)
        rows = connection.execute(self._above, {"seq": since.seq, "limit": limit})
        found = tuple(to_event(row) for row in rows)
        if not found and self._last(connection) < since.seq:
            return self._anew(connection)
        last = found[-1].seq if found else since.seq
        return FeedPage(found, str(last), more=len(found) == limit)

    def _anew(self, connection: Connection) -> FeedPage:
        """The database is older than the cursor: it was restored, or is another one."""
        return FeedPage((), str(self._end(connection)), reset=True)

    def _last(self, connection: Connection) -> int:
        return int(connection.execute(self._last_number).one().seq)

    @cached_property
    def _last_number(self) -> Select[Any]:
        return select(self._dialect.last_number.label("seq"))

    @cached_property
    def _above(self) -> Select[Any]:
        above = events.c.seq > bindparam("seq", type_=BigInteger)
        return TOLD.where(above).order_by(events.c.seq).limit(bindparam("limit", type_=Integer))

    def _end(self, connection: Connection) -> _Cursor:
        """Where the feed stands: behind all that is committed."""
        if not self._dialect.postgresql:
            return _Cursor(self._last(connection))
        connection.execute(_FORGET_OTHERS)
        here = connection.execute(self._here).one()
        return _Cursor(here.seq, here.following, tuple(here.running))

    # -- PostgreSQL ------------------------------------------------------------------------

    @cached_property
    def _here(self) -> Select[Any]:
        """The snapshot of the statement, and the last number that it may see."""
        columns: tuple[ColumnElement[Any], ...] = (
            *_SNAPSHOT,
            self._dialect.last_number.label("seq"),
        )
        return select(*columns)

    @cached_property
    def _since(self) -> Select[Any]:
        """Events since a cursor, each with the statement's snapshot; one row at least."""
        # As part of the text: of numbers that it does not know the planner expects a third of all.
        number = bindparam("seq", type_=BigInteger, literal_execute=True)
        running = bindparam("running", type_=BigInteger, expanding=True, literal_execute=True)
        following = bindparam("following", type_=BigInteger, literal_execute=True)
        limit: ColumnElement[int] = bindparam("limit", type_=Integer)
        new = TOLD.where(events.c.seq > number).order_by(events.c.seq).limit(limit)
        under_way = or_(events.c.xact.in_(running), events.c.xact >= following)
        late = TOLD.where(events.c.seq <= number, under_way)
        found = union_all(select(new.subquery("new")), late).subquery("found")
        here = self._here.cte("here")
        names = (here.c.following, here.c.running, here.c.seq.label("last"))
        rows = select(*names, *(found.c[name] for name in found.c.keys()))  # noqa: SIM118 - a collection of columns
        return rows.select_from(here.outerjoin(found, true())).order_by(found.c.seq)

    def _page_of_snapshot(self, connection: Connection, since: _Cursor, limit: int) -> FeedPage:
        wanted = {"seq": since.seq, "following": since.following, "running": list(since.running)}
        rows = connection.execute(self._since, wanted | {"limit": limit}).all()
        here = rows[0]
        if here.following < since.following or here.last < since.seq:
            return self._anew(connection)
        found = tuple(to_event(row) for row in rows if row.seq is not None)
        seq = max(since.seq, found[-1].seq if found else 0)
        new = sum(event.seq > since.seq for event in found)
        place = _Cursor(seq, here.following, tuple(here.running))
        return FeedPage(found, str(place), more=new == limit)


_SNAPSHOT: Final = (
    literal_column("txid_snapshot_xmax(txid_current_snapshot())", BigInteger).label("following"),
    literal_column(
        "ARRAY(SELECT txid_snapshot_xip(txid_current_snapshot()))", ARRAY(BigInteger)
    ).label("running"),
)

_FORGET_OTHERS: Final = (
    update(events)
    .where(events.c.xact >= literal_column("txid_snapshot_xmax(txid_current_snapshot())"))
    .values(xact=None)
)
"""Numbers of transactions that this server has not come to are from another: the tables were
restored here. One day they would be taken for numbers of its own."""
