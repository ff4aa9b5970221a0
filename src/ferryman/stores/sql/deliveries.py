"""Deliveries: leases, and the claims of those who hold one."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
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
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ClaimRequest, Renewal, Verdict
from ferryman.stores.sql.dialect import AnyRow, Dialect, Texts, later
from ferryman.stores.sql.endings import Endings, Writes, holdings
from ferryman.stores.sql.moves import Moves, Values
from ferryman.stores.sql.records import encode, milliseconds, to_delivery
from ferryman.stores.sql.tables import constant, jobs, one_of, queues, workers

_CLAIMED = (
    *("id", "task", "queue", "token", "args", "options", "attempts", "deliveries", "kills"),
    *("checkpoint", "user_key", "priority", "position", "due_at", "started_at"),
)
_TOLD = ("state", "reason", "detail", "worker")
"""What the event of a claim tells beside."""

CLAIM_ORDER = (jobs.c.priority.desc(), jobs.c.position)
"""Of the jobs of one queue, which is claimed first."""


def claimable(dialect: Dialect, queue: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a job may be claimed from `queue`; the same for a claim and for who waits for it."""
    paused = exists().where(queues.c.name == queue, queues.c.paused).correlate_except(queues)
    in_time = or_(jobs.c.expires_at.is_(None), jobs.c.expires_at > dialect.now)
    return (jobs.c.queue == queue) & one_of(JobState.QUEUED) & in_time & ~paused


class _Taken(NamedTuple):
    """Claimed rows, `None` without a lease; and the ordinals of endings that were refused."""

    rows: list[AnyRow] | None
    refused: Sequence[int] | None = None


class Deliveries:
    """Leases and claims. `claim` is one statement on PostgreSQL, and one a queue on SQLite."""

    def __init__(self, dialect: Dialect, moves: Moves, endings: Endings) -> None:
        self._dialect = dialect
        self._moves = moves
        self._endings = endings
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
                info=bindparam("description", type_=LargeBinary),
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
        extension = {
            "lease": milliseconds(lease),
            "degraded": degraded,
            "description": encode(worker),
        }
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
        if self._dialect.postgresql:
            rows = self._take_at_once(connection, request, named, fill).rows
        else:
            rows = self._take_by_queue(connection, request, named, fill)
        return _delivered(rows, request)

    def finish_and_claim(
        self,
        connection: Connection,
        endings: Sequence[Ending],
        request: ClaimRequest,
        named: Sequence[str] = (),
        *,
        fill: bool = True,
    ) -> tuple[list[Verdict], list[Delivery] | None]:
        """Write endings, and claim what may be claimed then; on PostgreSQL by one statement."""
        # One statement claims nothing that the same statement queues.
        again = any(ending.state is JobState.QUEUED for ending in endings)
        if again or not self._dialect.postgresql:
            verdicts = self._endings.finish(connection, endings)
            return verdicts, self.claim(connection, request, named, fill=fill)
        batch = self._endings.batch(endings)
        parameters = self._endings.parameters(batch)
        taken = self._take_at_once(connection, request, named, fill, parameters)
        refused = holdings(batch, taken.refused)
        return self._endings.verdicts(connection, endings, refused), _delivered(taken.rows, request)

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
        self,
        connection: Connection,
        request: ClaimRequest,
        named: Sequence[str],
        fill: bool,
        writes: dict[str, Any] | None = None,
    ) -> "_Taken":
        """Claim, and write endings with the first statement, if there are any."""
        wanted: dict[str, Any] = {"by_worker": request.worker}
        taken = _Taken([])
        if named:
            taken = self._taken(connection, wanted | {"named": named}, writes)
            writes = None
        if taken.rows is None or not (fill or not named):
            return taken
        left = max(0, request.limit - len(taken.rows)) if fill else 0
        wanted |= {"queues": list(dict.fromkeys(request.queues)), "limit": left}
        more = self._taken(connection, wanted | {"at_most": _at_least(left)}, writes)
        rows = taken.rows + more.rows if more.rows is not None else taken.rows or None
        return _Taken(rows, taken.refused or more.refused)

    def _taken(
        self, connection: Connection, wanted: dict[str, Any], writes: dict[str, Any] | None
    ) -> "_Taken":
        statement = self._claiming[("named" in wanted, writes is not None)]
        rows = connection.execute(statement, wanted | (writes or {})).all()
        refused = rows[0].refused if writes is not None else None
        found = [row for row in rows if row.id is not None] if rows[0].live else None
        return _Taken(found, refused)

    @cached_property
    def _claiming(self) -> dict[tuple[bool, bool], Select[Any]]:
        """The claim of what is next in the queues, or of what is named; and each with endings."""
        return {
            (named, writes): self._claim_of(pick, self._endings.writes() if writes else None)
            for named, pick in ((False, self._picked), (True, self._picked_named))
            for writes in (False, True)
        }

    def _claim_of(
        self, pick: Callable[[ColumnElement[bool]], Select[Any]], writes: Writes | None
    ) -> Select[Any]:
        """A claim: who holds the lease, what is picked, the move, its events."""
        holder = self._held.cte("holder")
        picked = pick(exists(select(holder.c.id))).scalar_subquery()
        moved = (
            update(jobs)
            # An array is looked up by its members' keys, however many the planner expects.
            .where(jobs.c.id == func.any(func.array(picked)))
            .values(self._claim_values)
            .returning(*(jobs.c[name] for name in (*_CLAIMED, *_TOLD)))
            .cte("moved")
        )
        told = self._moves.told_in(moved, JobState.QUEUED).cte("told")
        lease = select(exists(select(holder.c.id)).label("live")).cte("lease")
        claim = select(lease.c.live, *(moved.c[name] for name in _CLAIMED))
        claim = claim.select_from(lease.outerjoin(moved, true())).add_cte(told)
        if writes is None:
            return claim
        return claim.add_columns(writes.refused.label("refused")).add_cte(*writes.parts)

    def _picked_named(self, allowed: ColumnElement[bool]) -> Select[Any]:
        # In one order for all, so that two claims never wait for each other.
        picked = select(jobs.c.id).where(self._named, allowed).order_by(jobs.c.id)
        return picked.with_for_update(skip_locked=True, of=jobs)

    def _picked(self, allowed: ColumnElement[bool]) -> Select[Any]:
        """The ids to claim. Queues are gone through in turn, and no more is locked than is taken,
        since rows are asked for one by one until the outer limit is reached.

        A limit of each queue is part of the text: for one that it does not know a planner expects
        a tenth of all rows, and would rather sort the whole backlog than walk along its index. It
        is one of few numbers, so that there are few statements to prepare.
        """
        limit: ColumnElement[int] = bindparam("limit", type_=Integer)
        at_most: ColumnElement[int] = bindparam("at_most", type_=Integer, literal_execute=True)
        given = func.unnest(bindparam("queues", type_=Texts)).table_valued(column("queue", Text))
        named = given.render_derived(name="named")
        best = (
            select(jobs.c.id)
            .where(claimable(self._dialect, named.c.queue))
            .order_by(*CLAIM_ORDER)
            .limit(at_most)
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


def _at_least(number: int) -> int:
    """The next power of two, of those from 8 on."""
    return 1 << max(3, (number - 1).bit_length())


def _delivered(rows: list[AnyRow] | None, request: ClaimRequest) -> list[Delivery] | None:
    """Claimed rows as deliveries, in the order of the request."""
    if rows is None:
        return None
    order = request.queues.index
    rows.sort(key=lambda row: (order(row.queue), -row.priority, row.position))
    return [to_delivery(row) for row in rows]
