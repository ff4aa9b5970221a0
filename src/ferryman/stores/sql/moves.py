"""Moves: a job's change of state together with the event that tells of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Connection,
    Insert,
    Select,
    Text,
    bindparam,
    case,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)

from ferryman.domain.states import JobState, Reason
from ferryman.stores.sql.dialect import AnyRow, Dialect, Rows
from ferryman.stores.sql.tables import Bytewise, constant, events, jobs

Values = dict[str, Any]

_TOLD = ("job_id", "at", "source", "target", "reason", "detail", "token", "worker", "by_holder")


class Moves:
    """Reads jobs for a change, changes them, and writes down what happened.

    On PostgreSQL the rows that were read stay locked until the transaction's end. On SQLite the
    transaction holds the only lock there is.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._behind = Rows(dialect, id=Text())
        told = self._telling(
            jobs.c, bindparam("source", type_=Bytewise), bindparam("by_holder", type_=Boolean)
        )
        told = told.where(dialect.among(jobs.c.id)).order_by(jobs.c.position)
        self._told = insert(events).from_select(_TOLD, told)
        self._locked = (
            select(jobs.c.id, jobs.c.queue, jobs.c.state, jobs.c.unique_key)
            .where(dialect.among(jobs.c.id))
            .order_by(jobs.c.id)  # always in one order, so that two calls cannot block each other
            .with_for_update()
        )

    def _telling(
        self, job: Any, source: ColumnElement[Any], by_holder: ColumnElement[bool]
    ) -> Select[Any]:
        running = constant(JobState.RUNNING)
        worker = case((or_(source == running, job.state == running), job.worker))
        return select(
            job.id,
            self._dialect.now,
            source,
            job.state,
            job.reason,
            job.detail,
            job.token,
            worker,
            by_holder,
        )

    def told_in(self, moved: CTE, source: JobState | None, *, by_holder: bool = False) -> Insert:
        """The events of jobs that the same statement moves (PostgreSQL)."""
        before = null() if source is None else constant(source)
        return insert(events).from_select(
            _TOLD, self._telling(moved.c, before, literal(by_holder, literal_execute=True))
        )

    def tell(
        self,
        connection: Connection,
        ids: Sequence[str],
        source: JobState | None,
        *,
        by_holder: bool = False,
    ) -> None:
        """Write the events of jobs that were just moved."""
        if ids:
            connection.execute(self._told, {"ids": ids, "source": source, "by_holder": by_holder})

    def skip(self, connection: Connection, count: int) -> None:
        """Use up the numbers of events that were not written, whose places are taken.

        Else the places that come next would lie before those.
        """
        if count:
            connection.execute(self._dialect.skip_numbers, {"count": count})

    def locked(self, connection: Connection, ids: Sequence[str]) -> dict[str, AnyRow]:
        """The jobs of these ids that exist, kept from changing."""
        rows = connection.execute(self._locked, {"ids": sorted(set(ids))})
        return {row.id: row for row in rows}

    def move(
        self, connection: Connection, ids: Sequence[str], source: JobState, values: Values
    ) -> None:
        """Change jobs that are in `source`, and tell of it."""
        if ids:
            among = self._dialect.among(jobs.c.id)
            connection.execute(update(jobs).where(among).values(values), {"ids": ids})
            self.tell(connection, ids, source)

    def queue(
        self,
        connection: Connection,
        ids: Sequence[str],
        source: JobState,
        values: Values,
    ) -> None:
        """Queue jobs that are in `source` behind all others, in this order, and tell of it."""
        if ids:
            given = self._behind.c
            place = self._dialect.next_place + given["ordinal"]
            statement = (
                update(jobs)
                .where(jobs.c.id == given["id"])
                .values({"state": JobState.QUEUED, "position": place} | values)
            )
            rows: list[dict[str, Any]] = [{"id": job_id} for job_id in ids]
            connection.execute(statement, self._behind.parameters(rows))
            self.tell(connection, ids, source)

    def ended(self, state: JobState, reason: Reason, detail: str = "") -> Values:
        """What is written when a job ends by another hand than its holder's."""
        return {
            "state": state,
            "reason": reason,
            "detail": detail,
            "finished_at": self._dialect.now,
            "delete_at": None,
        }
