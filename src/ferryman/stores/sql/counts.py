"""The counts of all queues.

They are counted at each call while there are few jobs. In a big table that takes long: the counts
of a moment are kept, handed out while they are not too old, and renewed behind the caller's back,
at most so often that counting takes a twentieth of one connection's time.
"""

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from ferryman.domain.job import QueueInfo
from ferryman.domain.states import JobState
from ferryman.stores.sql.dialect import Dialect
from ferryman.stores.sql.tables import counts, jobs, queues

LARGE: Final = 50_000
"""Jobs from which on they are not counted at each call."""

SHARE: Final = 20
"""Counts are handed out for so many times what counting took, before they are renewed."""

OLD: Final = 60.0
"""Seconds after which counts are so old that the caller waits for new ones."""


class _Count(msgspec.Struct, frozen=True, array_like=True):
    """How many jobs of a queue are in a state, and since when the oldest was due."""

    queue: str
    state: str
    number: int
    oldest: int


_decode: Final = msgspec.json.Decoder(list[_Count]).decode

Kept = Mapping[str, Any] | None
"""Counts as they are kept; `None`: there are so few jobs that they are not."""


class Looked(NamedTuple):
    """The queues, or `None` if they have to be counted first; and whether to count anew."""

    queues: list[QueueInfo] | None
    stale: bool


class QueueCounts:
    """Counts, and keeps what took long to count."""

    def __init__(self, dialect: Dialect) -> None:
        self._now = select(dialect.now.label("now"))
        self._kept = select(counts, dialect.now.label("now"))
        insert: Any = postgresql.insert if dialect.postgresql else sqlite.insert
        new = insert(counts)
        values = {name: new.excluded[name] for name in ("at", "cost", "body")}
        self._keep = new.on_conflict_do_update(index_elements=[counts.c.id], set_=values)
        number, oldest = func.count().label("number"), func.min(jobs.c.due_at).label("oldest")
        rows = select(jobs.c.queue, jobs.c.state, number, oldest)
        self._figures = rows.group_by(jobs.c.queue, jobs.c.state)

    def look(self, connection: Connection) -> Looked:
        """What was counted lately, where counting takes long."""
        row = connection.execute(self._kept).first()
        if row is None or (row.now - row.at) / 1000 > OLD:
            return Looked(None, stale=True)
        stale = row.now - row.at > max(1000, SHARE * row.cost)
        return Looked(self._infos(connection, row.now, _decode(row.body)), stale)

    def count(self, connection: Connection) -> tuple[list[QueueInfo], Kept]:
        """Count now; and what to `keep`."""
        began = time.monotonic()
        now = int(connection.execute(self._now).one().now)
        found = [_Count(*row) for row in connection.execute(self._figures)]
        cost = round((time.monotonic() - began) * 1000)
        if sum(one.number for one in found) < LARGE:
            return self._infos(connection, now, found), None
        kept = {"id": 1, "at": now, "cost": cost, "body": msgspec.json.encode(found)}
        return self._infos(connection, now, found), kept

    def keep(self, connection: Connection, kept: Kept) -> None:
        """Keep counts of many jobs, and forget those of a table that has few now."""
        if kept is not None:
            connection.execute(self._keep, kept)
        else:
            connection.execute(delete(counts))

    def _infos(self, connection: Connection, now: int, found: list[_Count]) -> list[QueueInfo]:
        figures: dict[str, dict[str, Any]] = {}
        for row in connection.execute(select(queues)):
            figures[row.name] = {"paused": row.paused}
        for one in found:
            queue = figures.setdefault(one.queue, {})
            queue[one.state] = one.number
            if one.state == JobState.QUEUED:
                queue["oldest_age"] = max(0, now - one.oldest) / 1000
        return [QueueInfo(name=name, **figures[name]) for name in sorted(figures)]
