"""Upkeep: promote what is due, fail what is too late, delete what is old.

Each piece of work has a look that any connection may take, so that an idle round costs a read.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    exists,
    func,
    select,
    tuple_,
)

from ferryman.domain.states import JobState, Reason
from ferryman.stores.sql.dialect import Dialect
from ferryman.stores.sql.moves import Moves
from ferryman.stores.sql.records import milliseconds
from ferryman.stores.sql.steering import Steering
from ferryman.stores.sql.tables import ENDED, NOT_BEGUN, jobs, one_of


class Upkeep:
    """What every process may do at any time; rows that another one works on are passed over."""

    def __init__(self, dialect: Dialect, moves: Moves, steering: Steering) -> None:
        self._dialect = dialect
        self._moves = moves
        self._delete = steering.delete
        now = dialect.now
        scheduled = one_of(JobState.SCHEDULED)
        self._next_due = select((func.min(jobs.c.due_at) - now).label("left")).where(scheduled)
        self._due = self._some(
            select(jobs.c.id, jobs.c.queue).where(scheduled, jobs.c.due_at <= now)
        ).order_by(jobs.c.due_at, jobs.c.position)
        late = jobs.c.expires_at.is_not(None) & (jobs.c.expires_at <= now) & one_of(*NOT_BEGUN)
        self._any_late = select(exists().where(late).label("any"))
        self._late = self._some(select(jobs.c.id, jobs.c.state, jobs.c.queue).where(late))

    def _some(self, rows: Select[Any]) -> Select[Any]:
        limit: ColumnElement[int] = bindparam("limit", type_=Integer)
        return rows.limit(limit).with_for_update(skip_locked=True, of=jobs)

    def next_due(self, connection: Connection) -> float | None:
        """Seconds until the next scheduled job is due, or none is scheduled."""
        left = connection.execute(self._next_due).one().left
        return None if left is None else max(0, int(left)) / 1000

    def promote(self, connection: Connection, limit: int) -> list[tuple[str, str]]:
        """Queue jobs whose time has come; returns their ids and queues."""
        rows = connection.execute(self._due, {"limit": limit}).all()
        values = {"reason": Reason.DUE, "detail": ""}
        self._moves.queue(connection, [row.id for row in rows], JobState.SCHEDULED, values)
        return [(row.id, row.queue) for row in rows]

    def any_late(self, connection: Connection) -> bool:
        """Whether `expire` would find something to do."""
        return bool(connection.execute(self._any_late).one().any)

    def expire(self, connection: Connection, limit: int) -> list[tuple[str, str]]:
        """Fail jobs that did not start in time; returns their ids and queues."""
        rows = connection.execute(self._late, {"limit": limit}).all()
        values = self._moves.ended(JobState.FAILED, Reason.EXPIRED)
        for state in NOT_BEGUN:
            ids = [row.id for row in rows if row.state == state]
            self._moves.move(connection, ids, state, values)
        return [(row.id, row.queue) for row in rows]

    # -- pruning ---------------------------------------------------------------------------

    def prune(
        self,
        connection: Connection,
        dead_letter_ttl: float | None,
        max_history: int | None,
        limit: int,
    ) -> int:
        """Delete up to `limit` ended jobs; returns how many."""
        ids: list[str] = []
        for wanted, parameters in self._prunable(connection, dead_letter_ttl, max_history):
            left = limit - len(ids)
            if left > 0:
                rows = connection.execute(wanted, parameters | {"limit": left})
                found = [row.id for row in rows]
                self._delete(connection, found)
                ids += found
        return len(ids)

    def _prunable(
        self, connection: Connection, dead_letter_ttl: float | None, max_history: int | None
    ) -> Iterator[tuple[Select[Any], dict[str, Any]]]:
        """Selections of what may be deleted, each evaluated after the one before was."""
        yield self._outlived, {}
        if dead_letter_ttl is not None:
            yield self._old_failed, {"age": milliseconds(dead_letter_ttl)}
        if max_history is not None:
            for row in connection.execute(self._queues).all():
                history = {"of_queue": row.name, "kept": max_history}
                over = connection.execute(self._newest_over, history).first()
                if over is not None:
                    yield (
                        self._over,
                        {"of_queue": row.name, "at": over.finished_at, "last": over.id},
                    )

    @cached_property
    def _outlived(self) -> Select[Any]:
        over = jobs.c.delete_at <= self._dialect.now
        return self._some(select(jobs.c.id).where(over))

    @cached_property
    def _old_failed(self) -> Select[Any]:
        before = self._dialect.now - bindparam("age", type_=BigInteger)
        failed = one_of(JobState.FAILED)
        return self._some(select(jobs.c.id).where(failed, jobs.c.finished_at <= before))

    @cached_property
    def _queues(self) -> Select[Any]:
        """The queues that hold ended jobs, by one look into the index for each."""
        ended = one_of(*ENDED)
        first = select(func.min(jobs.c.queue).label("name")).where(ended).cte("q", recursive=True)
        following = select(func.min(jobs.c.queue)).where(ended, jobs.c.queue > first.c.name)
        found = first.union_all(
            select(following.scalar_subquery()).where(first.c.name.is_not(None))
        )
        return select(found.c.name).where(found.c.name.is_not(None))

    @cached_property
    def _newest_over(self) -> Select[Any]:
        return (
            self._history(select(jobs.c.finished_at, jobs.c.id))
            .order_by(jobs.c.finished_at.desc(), jobs.c.id.desc())
            .offset(bindparam("kept", type_=Integer))
            .limit(1)
        )

    @cached_property
    def _over(self) -> Select[Any]:
        edge = tuple_(bindparam("at", type_=BigInteger), bindparam("last", type_=Text))
        over = tuple_(jobs.c.finished_at, jobs.c.id) <= edge
        rows = self._some(self._history(select(jobs.c.id)).where(over))
        return rows.order_by(jobs.c.finished_at, jobs.c.id)

    def _history(self, rows: Select[Any]) -> Select[Any]:
        return rows.where(jobs.c.queue == bindparam("of_queue", type_=Text), one_of(*ENDED))
