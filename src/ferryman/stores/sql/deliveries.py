"""Deliveries: leases, and the claims of those who hold one."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ferryman.domain.job import Delivery, WorkerInfo
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ClaimRequest, Renewal
from ferryman.stores.sql.dialect import AnyRow, Dialect, Texts, later
from ferryman.stores.sql.moves import Moves, Values
from ferryman.stores.sql.records import encode, milliseconds, to_delivery
from ferryman.stores.sql.tables import constant, jobs, one_of, queues, workers

_CLAIMED = (
    *("id", "task", "queue", "token", "args", "options", "attempts", "deliveries", "kills"),
    *("checkpoint", "user_key", "priority", "position", "state", "reason", "detail", "worker"),
)

CLAIM_ORDER = (jobs.c.priority.desc(), jobs.c.position)
"""Of the jobs of one queue, which is claimed first."""


def claimable(dialect: Dialect, queue: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a job may be claimed from `queue`; the same for a claim and for who waits for it."""
    paused = exists().where(queues.c.name == queue, queues.c.paused).correlate_except(queues)
    in_time = or_(jobs.c.expires_at.is_(None), jobs.c.expires_at > dialect.now)
    return (jobs.c.queue == queue) & one_of(JobState.QUEUED) & in_time & ~paused


class Deliveries:
    """Leases and claims. `claim` is one statement on PostgreSQL, and one a queue on SQLite."""

    def __init__(self, dialect: Dialect, moves: Moves) -> None:
        self._dialect = dialect
        self._moves = moves
        self._named = claimable(dialect, jobs.c.queue) & dialect.among(jobs.c.id, "named")
        self._me = workers.c.id == bindparam("by_worker", type_=Text)
        self._held = select(workers.c.id).where(self._me, workers.c.lease_until > dialect.now)

    # -- leases ----------------------------------------------------------------------------

    def register(self, connection: Connection, worker: WorkerInfo, lease: float) -> None:
        """Give a worker its lease; a repeat extends it while it holds."""
        until = self._dialect.now + milliseconds(lease)
        values = {
            "id": worker.id,
            "info": encode(worker),
            "started_at": self._dialect.now,
            "lease_until": until,
            "degraded": False,
        }
        insert = postgresql.insert if self._dialect.postgresql else sqlite.insert
        connection.execute(
            insert(workers)
            .values(values)
            .on_conflict_do_update(
                index_elements=[workers.c.id],
                set_={"lease_until": until},
                where=workers.c.lease_until > self._dialect.now,
            )
        )

    @cached_property
    def _extend(self) -> Any:
        until = self._dialect.now + bindparam("lease", type_=BigInteger)
        return (
            update(workers)
            .where(self._me, workers.c.lease_until > self._dialect.now)
            .values(
                lease_until=later(workers.c.lease_until, until),
                degraded=bindparam("degraded", type_=Boolean),
            )
            .returning(workers.c.id)
        )

    @cached_property
    def _asked_to_stop(self) -> Select[Any]:
        mine = jobs.c.worker == bindparam("by_worker", type_=Text)
        asked = one_of(JobState.RUNNING) & jobs.c.cancel_by.is_not(None)
        return select(jobs.c.id, jobs.c.token).where(mine, asked).order_by(jobs.c.id)

    def renew(
        self, connection: Connection, worker: WorkerInfo, lease: float, degraded: bool
    ) -> Renewal:
        """Extend a lease that holds, and never bring back another."""
        mine = {"by_worker": worker.id}
        extension = {"lease": milliseconds(lease), "degraded": degraded}
        extended = connection.execute(self._extend, mine | extension)
        if extended.first() is None:
            return Renewal(live=False)
        asked = connection.execute(self._asked_to_stop, mine)
        return Renewal(live=True, cancels=tuple((row.id, row.token) for row in asked))

    def unregister(self, connection: Connection, worker: WorkerInfo) -> None:
        """Forget a worker."""
        connection.execute(delete(workers).where(workers.c.id == worker.id))

    # -- claims ----------------------------------------------------------------------------

    def claim(
        self,
        connection: Connection,
        request: ClaimRequest,
        named: Sequence[str] = (),
        *,
        fill: bool = True,
    ) -> list[Delivery] | None:
        """Up to `limit` jobs in the order of the request; `None` if there is no lease.

        Args:
            named: ids to take before all others, as far as they may be claimed.
            fill: whether to take others as well, where these are fewer than the limit.
        """
        take = self._take_at_once if self._dialect.postgresql else self._take_by_queue
        rows = take(connection, request, named, fill)
        if rows is None:
            return None
        order = request.queues.index
        rows.sort(key=lambda row: (order(row.queue), -row.priority, row.position))
        return [to_delivery(row) for row in rows]

    @cached_property
    def _claim_values(self) -> Values:
        return {
            "state": constant(JobState.RUNNING),
            "reason": literal_column(f"'{Reason.CLAIMED.value}'", Text),
            "detail": literal_column("''", Text),
            "worker": bindparam("by_worker", type_=Text),
            "token": jobs.c.token + literal_column("1", Integer),
            "deliveries": jobs.c.deliveries + literal_column("1", Integer),
            "started_at": self._dialect.now,
            "cancel_by": None,
        }

    # PostgreSQL: one statement, and one for what is named

    def _take_at_once(
        self, connection: Connection, request: ClaimRequest, named: Sequence[str], fill: bool
    ) -> list[AnyRow] | None:
        wanted: dict[str, Any] = {"by_worker": request.worker}
        rows: list[AnyRow] = []
        if named:
            found = self._taken(connection, self._claiming_named, wanted | {"named": named})
            if found is None:
                return None
            rows += found
        if fill or not named:
            names = list(dict.fromkeys(request.queues))
            wanted |= {"queues": names, "limit": max(0, request.limit - len(rows)) if fill else 0}
            found = self._taken(connection, self._claiming, wanted)
            if found is None:
                return rows or None
            rows += found
        return rows

    @staticmethod
    def _taken(
        connection: Connection, statement: Select[Any], wanted: dict[str, Any]
    ) -> list[AnyRow] | None:
        rows = connection.execute(statement, wanted).all()
        if not rows[0].live:
            return None
        return [row for row in rows if row.id is not None]

    @cached_property
    def _claiming(self) -> Select[Any]:
        """The claim of what is next in the queues."""
        return self._claim_of(self._picked)

    @cached_property
    def _claiming_named(self) -> Select[Any]:
        """The claim of what is named."""
        return self._claim_of(self._picked_named)

    def _claim_of(self, pick: Callable[[ColumnElement[bool]], Select[Any]]) -> Select[Any]:
        """A claim: who holds the lease, what is picked, the move, its events."""
        holder = self._held.cte("holder")
        picked = pick(exists(select(holder.c.id))).scalar_subquery()
        moved = (
            update(jobs)
            # An array is looked up by its members' keys, however many the planner expects.
            .where(jobs.c.id == func.any(func.array(picked)))
            .values(self._claim_values)
            .returning(*(jobs.c[name] for name in _CLAIMED))
            .cte("moved")
        )
        told = self._moves.told_in(moved, JobState.QUEUED).cte("told")
        lease = select(exists(select(holder.c.id)).label("live")).cte("lease")
        wanted = [moved.c[name] for name in _CLAIMED]
        return (
            select(lease.c.live, *wanted).select_from(lease.outerjoin(moved, true())).add_cte(told)
        )

    def _picked_named(self, allowed: ColumnElement[bool]) -> Select[Any]:
        # In one order for all, so that two claims never wait for each other.
        picked = select(jobs.c.id).where(self._named, allowed).order_by(jobs.c.id)
        return picked.with_for_update(skip_locked=True, of=jobs)

    def _picked(self, allowed: ColumnElement[bool]) -> Select[Any]:
        """The ids to claim. Queues are gone through in turn, and no more is locked than is taken,
        since rows are asked for one by one until the outer limit is reached.

        The limit is part of the text: for one that it does not know a planner expects a tenth of
        all rows, and would rather sort the whole backlog than walk along its index.
        """
        limit: ColumnElement[int] = bindparam("limit", type_=Integer, literal_execute=True)
        given = func.unnest(bindparam("queues", type_=Texts)).table_valued(column("queue", Text))
        named = given.render_derived(name="named")
        best = (
            select(jobs.c.id)
            .where(claimable(self._dialect, named.c.queue))
            .order_by(*CLAIM_ORDER)
            .limit(limit)
            .with_for_update(skip_locked=True, of=jobs)
            .lateral("best")
        )
        return select(best.c.id).select_from(named.join(best, true())).where(allowed).limit(limit)

    # SQLite: the transaction holds the one lock of the file

    @cached_property
    def _take(self) -> Any:
        queue = bindparam("of_queue", type_=Text)
        limit: ColumnElement[int] = bindparam("limit", type_=Integer)
        best = select(jobs.c.id).where(claimable(self._dialect, queue))
        best = best.order_by(*CLAIM_ORDER).limit(limit)
        return self._started(jobs.c.id.in_(best))

    @cached_property
    def _take_named(self) -> Any:
        return self._started(self._named)

    def _started(self, chosen: ColumnElement[bool]) -> Any:
        returned = (jobs.c[name] for name in _CLAIMED)
        return update(jobs).where(chosen).values(self._claim_values).returning(*returned)

    def _take_by_queue(
        self, connection: Connection, request: ClaimRequest, named: Sequence[str], fill: bool
    ) -> list[AnyRow] | None:
        me = {"by_worker": request.worker}
        if connection.execute(self._held, me).first() is None:
            return None
        rows: list[AnyRow] = []
        if named:
            rows += connection.execute(self._take_named, me | {"named": named}).all()
        for queue in request.queues if fill else ():
            left = request.limit - len(rows)
            if left > 0:
                wanted = me | {"of_queue": queue, "limit": left}
                rows += connection.execute(self._take, wanted).all()
        if rows:
            self._moves.tell(connection, [row.id for row in rows], JobState.QUEUED)
        return rows
