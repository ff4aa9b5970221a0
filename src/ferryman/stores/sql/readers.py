"""Readers: jobs by id and by page, events, workers, queues and their figures."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal,
    select,
    tuple_,
)

from ferryman.codec import as_stored
from ferryman.domain.errors import ConfigError
from ferryman.domain.ids import NAME_PATTERN
from ferryman.domain.job import Job, JobEvent, WorkerStatus
from ferryman.domain.states import JobState
from ferryman.stores.base import JobFilter, Judge, Page
from ferryman.stores.sql.deliveries import CLAIM_ORDER, claimable
from ferryman.stores.sql.dialect import AnyRow, Contains, Dialect
from ferryman.stores.sql.feed import TOLD
from ferryman.stores.sql.hints import Topics
from ferryman.stores.sql.records import moment, since_epoch, to_event, to_job, to_worker
from ferryman.stores.sql.tables import LIVE, events, jobs, one_of, workers

SCAN_LIMIT: Final = 10_000
"""Jobs that one page looks at; when fewer match than were asked for, the page is partial."""

ASK_LIMIT: Final = 2_000
"""The same where the reader is asked of each job, which takes longer."""

STRETCH: Final = 100
"""Jobs that are read at once to ask the reader of them."""

_CURSOR: Final = re.compile(rf"([0-9]{{1,15}})\.({NAME_PATTERN.pattern})")

PLACE: Final = tuple_(jobs.c.created_at, jobs.c.id)
"""Where a job stands among all: pages go through it downwards."""


def _newest_first(rows: Select[Any]) -> Select[Any]:
    return rows.order_by(jobs.c.created_at.desc(), jobs.c.id.desc())


def _before(cursor: str | None) -> list[ColumnElement[bool]]:
    if cursor is None:
        return []
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ConfigError(f"{cursor!r} is not a cursor of this store: pass on what a page gave")
    return [_place(int(match[1]), match[2]) > PLACE]


def _place(created_at: int, job_id: str) -> Any:
    return tuple_(literal(created_at, BigInteger), literal(job_id, Text))


def _indexed(where: JobFilter) -> list[ColumnElement[bool]]:
    """The conditions that an index answers in the order of a page."""
    conditions: list[ColumnElement[bool]] = []
    if where.user is not None:
        conditions.append(jobs.c.user_key == where.user)
    elif where.state is not None:
        conditions.append(one_of(where.state))
    if where.since is not None:
        conditions.append(jobs.c.created_at >= since_epoch(where.since))
    if where.until is not None:
        conditions.append(jobs.c.created_at < since_epoch(where.until))
    return conditions


def _filtered(where: JobFilter) -> list[ColumnElement[bool]]:
    """The conditions that each job is asked for in turn."""
    conditions: list[ColumnElement[bool]] = []
    if where.user is not None and where.state is not None:
        conditions.append(one_of(where.state))
    if where.task is not None:
        conditions.append(jobs.c.task == where.task)
    if where.queue is not None:
        conditions.append(jobs.c.queue == where.queue)
    if where.tag is not None:
        # Every database has replace, with one meaning; LIKE ignores case on SQLite.
        conditions.append(func.replace(jobs.c.tags, f",{where.tag},", "") != jobs.c.tags)
    if where.text is not None:
        conditions.append(Contains(jobs.c.args, as_stored(where.text)))
    return conditions


class Readers:
    """Reads, none of which locks or changes anything."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._by_id = select(jobs).where(dialect.among(jobs.c.id))
        of_job = events.c.job_id == bindparam("job_id", type_=Text)
        behind = events.c.seq > bindparam("after", type_=BigInteger)
        self._events = TOLD.where(of_job, behind).order_by(events.c.seq)

    def now(self, connection: Connection) -> int:
        """The store's clock."""
        return int(connection.execute(select(self._dialect.now.label("now"))).one().now)

    def get(self, connection: Connection, ids: Sequence[str]) -> list[Job | None]:
        """Jobs by their ids."""
        rows = connection.execute(self._by_id, {"ids": list(set(ids))})
        found = {row.id: to_job(row) for row in rows}
        return [found.get(job_id) for job_id in ids]

    # -- pages -----------------------------------------------------------------------------

    def page(
        self,
        connection: Connection,
        where: JobFilter,
        limit: int,
        cursor: str | None,
        accepts: Judge = None,
    ) -> Page:
        """A page, made from a bounded number of rows that lie together in an index."""
        within, filters = [*_indexed(where), *_before(cursor)], _filtered(where)
        most = ASK_LIMIT if accepts else SCAN_LIMIT
        edge = self._edge(connection, within, most) if filters or accepts else None
        if edge is not None:
            within.append(_place(edge.created_at, edge.id) <= PLACE)
        found = _newest_first(select(jobs).where(*within, *filters))
        page = self._accepted(connection, found, limit + 1, accepts)
        if len(page) > limit:
            last = page[limit - 1]
            return Page(page[:limit], _cursor(since_epoch(last.created_at), last.id))
        if edge is not None:
            return Page(page, _cursor(edge.created_at, edge.id), partial=True)
        return Page(page)

    def _accepted(
        self, connection: Connection, found: Select[Any], most: int, accepts: Judge
    ) -> tuple[Job, ...]:
        """The first `most` jobs of a selection that are accepted; so many rows are held at once."""
        if accepts is None:
            return tuple(to_job(row) for row in connection.execute(found.limit(most)))
        accepted: list[Job] = []
        rest = found.limit(STRETCH)
        while len(accepted) < most:
            rows = connection.execute(rest).all()
            accepted += filter(accepts, map(to_job, rows))
            if len(rows) < STRETCH:
                break
            last = rows[-1]
            rest = found.limit(STRETCH).where(_place(last.created_at, last.id) > PLACE)
        return tuple(accepted[:most])

    def _edge(
        self, connection: Connection, within: list[ColumnElement[bool]], most: int
    ) -> "AnyRow | None":
        """The last job that one page looks at, if more lie behind it."""
        seen = select(jobs.c.created_at, jobs.c.id).where(*within)
        return connection.execute(_newest_first(seen).offset(most - 1).limit(1)).first()

    def count(self, connection: Connection, where: JobFilter) -> int:
        """How many jobs match."""
        matching = select(func.count().label("number")).select_from(jobs)
        matching = matching.where(*_indexed(where), *_filtered(where))
        return int(connection.execute(matching).one().number)

    # -- events, workers, queues -------------------------------------------------------------

    def events(
        self, connection: Connection, job_id: str, after: int, limit: int | None
    ) -> list[JobEvent]:
        """What happened to a job after the event of a number."""
        rows = connection.execute(self._events.limit(limit), {"job_id": job_id, "after": after})
        return [to_event(row) for row in rows]

    def workers(self, connection: Connection) -> list[WorkerStatus]:
        """The workers that are known, by name."""
        live = cast(workers.c.lease_until > self._dialect.now, Boolean).label("live")
        running = select(func.count()).where(jobs.c.worker == workers.c.id)
        running = running.where(one_of(JobState.RUNNING))
        rows = connection.execute(select(workers, live, running.scalar_subquery().label("running")))
        statuses = [
            WorkerStatus(
                info=to_worker(row.info),
                started_at=moment(row.started_at),
                lease_until=moment(row.lease_until),
                live=row.live,
                running=row.running,
                degraded=row.degraded,
            )
            for row in rows
        ]
        return sorted(statuses, key=lambda status: (status.info.name, status.info.id))

    # -- for those who wait ------------------------------------------------------------------

    def look(self, connection: Connection, wanted: Topics) -> Topics:
        """Those of the queues from which a claim would get a job, and of the jobs that ended."""
        with_work = {
            queue
            for queue in wanted.queues
            if connection.execute(self._any_work, {"of_queue": queue}).first() is not None
        }
        return Topics(frozenset(with_work), self._ended(connection, wanted.jobs))

    @cached_property
    def _any_work(self) -> Select[Any]:
        queue = bindparam("of_queue", type_=Text)
        # In the order of a claim, or a planner that hopes for luck walks over the whole table.
        work = select(jobs.c.id).where(claimable(self._dialect, queue)).order_by(*CLAIM_ORDER)
        return work.limit(1)

    def _ended(self, connection: Connection, ids: frozenset[str]) -> frozenset[str]:
        """Those of the jobs that have ended, or are not there any more."""
        if not ids:
            return ids
        rows = connection.execute(self._live, {"ids": list(ids)})
        return ids - {row.id for row in rows}

    @cached_property
    def _live(self) -> Select[Any]:
        return select(jobs.c.id).where(self._dialect.among(jobs.c.id), one_of(*LIVE))


def _cursor(created_at: int, job_id: str) -> str:
    return f"{created_at}.{job_id}"
