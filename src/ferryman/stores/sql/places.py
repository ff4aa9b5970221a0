"""Places: where queued jobs stand, for whoever keeps a copy of the queues elsewhere."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    func,
    select,
)

from ferryman.domain.states import JobState
from ferryman.stores.sql.dialect import Dialect
from ferryman.stores.sql.tables import jobs, one_of, queues


class Place(NamedTuple):
    """A queued job: the higher priority goes first, and in it the lower position."""

    job_id: str
    queue: str
    priority: int
    position: int


class Places:
    """Looks at the queued jobs. Each look goes through the index that claims use."""

    def __init__(self, dialect: Dialect) -> None:
        queued = one_of(JobState.QUEUED)
        of_queue = jobs.c.queue == bindparam("of_queue", type_=Text)
        of_priority = jobs.c.priority == bindparam("of_priority", type_=Integer)
        place = (jobs.c.id, jobs.c.queue, jobs.c.priority, jobs.c.position)
        limit = bindparam("limit", type_=Integer)
        self._of = select(*place).where(dialect.among(jobs.c.id), queued)
        self._head = (
            select(*place)
            .where(of_queue, queued)
            .order_by(jobs.c.priority.desc(), jobs.c.position)
            .limit(limit)
        )
        self._stretch = (
            select(*place)
            .where(of_queue, of_priority, queued)
            .where(jobs.c.position >= bindparam("start", type_=BigInteger))
            .order_by(jobs.c.position)
            .limit(limit)
        )
        below = jobs.c.priority < bindparam("below", type_=Integer)
        self._next_priority = (
            select(jobs.c.priority.label("value"))
            .where(of_queue, queued, below)
            .order_by(jobs.c.priority.desc())
            .limit(1)
        )
        self._names = self._distinct_queues()
        self._paused = select(queues.c.name).where(queues.c.paused)

    def _distinct_queues(self) -> Select[Any]:
        """The queues that hold queued jobs, by one look into the index for each."""
        queued = one_of(JobState.QUEUED)
        first = select(func.min(jobs.c.queue).label("name")).where(queued).cte("q", recursive=True)
        following = select(func.min(jobs.c.queue)).where(queued, jobs.c.queue > first.c.name)
        found = first.union_all(
            select(following.scalar_subquery()).where(first.c.name.is_not(None))
        )
        return select(found.c.name).where(found.c.name.is_not(None))

    def of(self, connection: Connection, ids: Iterable[str]) -> list[Place]:
        """The places of those of `ids` that are queued."""
        return _places(connection.execute(self._of, {"ids": list(ids)}))

    def head(self, connection: Connection, queue: str, limit: int) -> list[Place]:
        """The jobs of a queue that are claimed next."""
        return _places(connection.execute(self._head, {"of_queue": queue, "limit": limit}))

    def stretch(
        self, connection: Connection, queue: str, priority: int, start: int, limit: int
    ) -> list[Place]:
        """The jobs of one priority from the position `start` on."""
        given = {"of_queue": queue, "of_priority": priority, "start": start, "limit": limit}
        return _places(connection.execute(self._stretch, given))

    def next_priority(self, connection: Connection, queue: str, below: int) -> int | None:
        """The highest priority under `below` of which a job is queued."""
        row = connection.execute(self._next_priority, {"of_queue": queue, "below": below}).first()
        return None if row is None else int(row.value)

    def queues(self, connection: Connection) -> list[str]:
        """The queues in which jobs are queued."""
        return [row.name for row in connection.execute(self._names)]

    def paused(self, connection: Connection) -> list[str]:
        """The queues that are paused."""
        return [row.name for row in connection.execute(self._paused)]


def _places(rows: Iterable[Any]) -> list[Place]:
    return [Place(row.id, row.queue, row.priority, row.position) for row in rows]
