"""Endings: what the holder of a token writes about its delivery, last of all how it ended."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Text,
    Update,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ProgressUpdate, Verdict
from ferryman.stores.sql.dialect import Dialect, Repeated, Rows
from ferryman.stores.sql.moves import Moves, Values
from ferryman.stores.sql.records import clean, encode, milliseconds
from ferryman.stores.sql.tables import constant, events, jobs, one_of

Holding = tuple[str, int]
"""A job's id, and the token under which somebody holds it."""

Batch = list[dict[str, Any]]
"""Rows that a statement is executed for."""

_IN_PLACE = (Reason.HANDED_BACK, Reason.LEASE_LOST)
"""With these reasons a job goes back to its old place; with any other it queues up behind."""


def _row(ending: Ending) -> dict[str, Any]:
    return {
        "id": ending.job_id,
        "token": ending.token,
        "state": ending.state,
        "reason": ending.reason,
        "detail": ending.detail and clean(ending.detail),
        "delay": milliseconds(ending.delay),
        "in_place": int(ending.state is not JobState.QUEUED or ending.reason in _IN_PLACE),
        "charge": ending.charge,
        "kill": ending.kill,
        "result": ending.result,
        "failure": None if ending.failure is None else encode(ending.failure),
        "ttl": None if ending.ttl is None else milliseconds(ending.ttl),
    }


class Writes(NamedTuple):
    """Writes under tokens as parts of a statement (PostgreSQL), and the ordinals of those that
    found no job running under their token; NULL where each found its job.
    """

    parts: tuple[CTE, ...]
    refused: ColumnElement[Any]


class Endings:
    """Endings and reports: each write takes effect only while the job runs under its token."""

    def __init__(self, dialect: Dialect, moves: Moves) -> None:
        self._dialect = dialect
        self._moves = moves
        self._ends = Rows(
            dialect,
            id=Text(),
            token=BigInteger(),
            state=Text(),
            reason=Text(),
            detail=Text(),
            delay=BigInteger(),
            in_place=Integer(),
            charge=Integer(),
            kill=Integer(),
            result=LargeBinary(),
            failure=LargeBinary(),
            ttl=BigInteger(),
        )
        self._reports = Rows(
            dialect, id=Text(), token=BigInteger(), progress=LargeBinary(), checkpoint=LargeBinary()
        )
        self._finish = self._statement(self._ends, self._ended(self._ends.c), tells=True)
        self._report = self._statement(self._reports, self._reported(self._reports.c), tells=False)
        among = dialect.among(jobs.c.id)
        running = one_of(JobState.RUNNING)
        self._held = select(jobs.c.id, jobs.c.token).where(among, running)
        self._existing = select(jobs.c.id).where(among)
        told = (events.c.job_id, events.c.token, events.c.target, events.c.reason)
        self._told = select(*told).where(dialect.among(events.c.job_id), events.c.by_holder)

    def writes(self) -> Writes:
        """Endings as parts of another statement, whose parameters are those of `rows`."""
        return self._writes(self._ends, self._ended(self._ends.c), tells=True)

    def _statement(self, rows: Rows, values: Values, *, tells: bool) -> Repeated:
        if not self._dialect.postgresql:
            return Repeated(_under_token(rows, values))
        parts, refused = self._writes(rows, values, tells=tells)
        return Repeated(select(refused.label("refused")).add_cte(*parts))

    def _writes(self, rows: Rows, values: Values, *, tells: bool) -> Writes:
        assert rows.table is not None  # noqa: S101 - narrows the type
        given, seen = rows.table, ("id", "token", "state", "reason", "detail", "worker")
        returned = (*(jobs.c[name] for name in seen), given.c.ordinal)
        moved = _under_token(rows, values).returning(*returned).cte("ended")
        applied = exists().where(moved.c.ordinal == given.c.ordinal)
        refused = select(func.array_agg(given.c.ordinal)).where(~applied).scalar_subquery()
        if not tells:
            return Writes((moved,), refused)
        told = self._moves.told_in(moved, JobState.RUNNING, by_holder=True)
        return Writes((moved, told.cte("told_of_ended")), refused)

    def _ended(self, given: Mapping[str, ColumnElement[Any]]) -> Values:
        now = self._dialect.now
        again = given["state"].in_([constant(JobState.QUEUED), constant(JobState.SCHEDULED)])
        # Someone asked it to stop while it ran, so it does not run again.
        stops = and_(jobs.c.cancel_by.is_not(None), again)
        over = or_(stops, ~again)
        cancelled_by = literal_column(f"'{Reason.CANCELLED_BY.value}'", Text)
        # The worker that stopped it was told that someone asked, and not who.
        unsigned = and_(given["state"] == constant(JobState.CANCELLED), given["detail"] == "")
        behind = self._dialect.next_place + given["ordinal"]
        return {
            "state": case((stops, constant(JobState.CANCELLED)), else_=given["state"]),
            "reason": case((stops, cancelled_by), else_=given["reason"]),
            "detail": case(
                (stops, jobs.c.cancel_by),
                (unsigned, func.coalesce(jobs.c.cancel_by, "")),
                else_=given["detail"],
            ),
            "due_at": case((over, jobs.c.due_at), else_=now + given["delay"]),
            "position": case((given["in_place"] == 1, jobs.c.position), else_=behind),
            "attempts": jobs.c.attempts + given["charge"],
            "kills": jobs.c.kills + given["kill"],
            "result": given["result"],
            "failure": func.coalesce(given["failure"], jobs.c.failure),
            "finished_at": case((over, now)),
            "delete_at": case((over, now + given["ttl"])),
        }

    def _reported(self, given: Mapping[str, ColumnElement[Any]]) -> Values:
        names = ("progress", "checkpoint")
        return {name: func.coalesce(given[name], jobs.c[name]) for name in names}

    # -- operations ------------------------------------------------------------------------

    def finish(self, connection: Connection, endings: Sequence[Ending]) -> list[Verdict]:
        """End deliveries; says in their order what became of each ending."""
        batch = self.batch(endings)
        refused = self._apply(connection, self._finish, self._ends, batch)
        if not self._dialect.postgresql:
            ids = [row["id"] for row in batch if (row["id"], row["token"]) not in refused]
            self._moves.tell(connection, ids, JobState.RUNNING, by_holder=True)
        return self.verdicts(connection, endings, refused)

    def batch(self, endings: Iterable[Ending]) -> Batch:
        """What is written; of several endings of one delivery the first counts."""
        firsts: dict[Holding, Ending] = {}
        for ending in endings:
            firsts.setdefault((ending.job_id, ending.token), ending)
        return _in_order(map(_row, firsts.values()))

    def parameters(self, batch: Batch) -> dict[str, Any]:
        """What a statement with `writes` is executed with."""
        return self._ends.text(batch)

    def verdicts(
        self, connection: Connection, endings: Sequence[Ending], refused: Collection[Holding]
    ) -> list[Verdict]:
        """What became of each ending; `refused` found no job running under their token."""
        firsts = {(ending.job_id, ending.token): ending for ending in reversed(endings)}
        applied = {id(one) for holding, one in firsts.items() if holding not in refused}
        if len(applied) == len(endings):
            return [Verdict.APPLIED] * len(endings)
        if applied and self._dialect.postgresql:
            # Each row has a place of its own, and only what was applied has an event.
            self._moves.skip(connection, len(refused))
        others = [ending for ending in endings if id(ending) not in applied]
        repeated = iter(self._repeated(connection, others))
        return [Verdict.APPLIED if id(one) in applied else next(repeated) for one in endings]

    def progress(self, connection: Connection, updates: Sequence[ProgressUpdate]) -> list[Verdict]:
        """Record reports; of several about one job, what each says last counts."""
        reports: dict[Holding, dict[str, Any]] = {}
        for one in updates:
            report = {"id": one.job_id, "token": one.token, "progress": None, "checkpoint": None}
            report = reports.setdefault((one.job_id, one.token), report)
            if one.progress is not None:
                report["progress"] = encode(one.progress)
            if one.checkpoint is not None:
                report["checkpoint"] = one.checkpoint
        batch = _in_order(reports.values())
        refused = self._apply(connection, self._report, self._reports, batch)
        existing = self._which_exist(connection, {job_id for job_id, _ in refused})
        return [
            Verdict.APPLIED
            if (one.job_id, one.token) not in refused
            else (Verdict.STALE if one.job_id in existing else Verdict.MISSING)
            for one in updates
        ]

    def _apply(
        self, connection: Connection, statement: Repeated, rows: Rows, batch: Batch
    ) -> set[Holding]:
        """Execute `statement` for what runs under its token; says for which jobs it could not."""
        if self._dialect.postgresql:
            result = statement.execute(connection, rows.parameters(batch))
            return holdings(batch, result.one().refused)
        ids = {"ids": [row["id"] for row in batch]}
        held = {(row.id, row.token) for row in connection.execute(self._held, ids)}
        holding = [row for row in batch if (row["id"], row["token"]) in held]
        if holding:
            statement.execute(connection, rows.parameters(holding))
        return {(row["id"], row["token"]) for row in batch} - held

    def _repeated(self, connection: Connection, endings: Sequence[Ending]) -> list[Verdict]:
        """Verdicts on endings that found no job running under their token."""
        ids = {ending.job_id for ending in endings}
        existing = self._which_exist(connection, ids)
        told = defaultdict(list)
        for row in connection.execute(self._told, {"ids": list(ids)}) if existing else ():
            told[row.job_id, row.token].append((row.target, row.reason))
        return [
            _verdict(ending, told[ending.job_id, ending.token])
            if ending.job_id in existing
            else Verdict.MISSING
            for ending in endings
        ]

    def _which_exist(self, connection: Connection, ids: Iterable[str]) -> set[str]:
        wanted = list(ids)
        if not wanted:
            return set()
        return {row.id for row in connection.execute(self._existing, {"ids": wanted})}


def _under_token(rows: Rows, values: Values) -> Update:
    held = and_(jobs.c.id == rows.c["id"], jobs.c.token == rows.c["token"])
    running = one_of(JobState.RUNNING)
    if rows.table is not None:
        # By their keys, however many the planner expects. The index of running jobs would serve
        # too, but it still has each that ran since the last vacuum; no index has an expression.
        held &= jobs.c.id == func.any(func.array(select(rows.c["id"]).scalar_subquery()))
        running = jobs.c.state.concat(literal_column("''", Text)) == constant(JobState.RUNNING)
    return update(jobs).where(held, running).values(values)


def _in_order(rows: Iterable[dict[str, Any]]) -> Batch:
    """In one order for all, so that two calls cannot deadlock."""
    return sorted(rows, key=itemgetter("id"))


def holdings(batch: Batch, ordinals: Iterable[int] | None) -> set[Holding]:
    """The jobs and tokens of some rows of a batch."""
    return {(batch[at]["id"], batch[at]["token"]) for at in ordinals or ()}


def _verdict(ending: Ending, told: Iterable[tuple[str, str]]) -> Verdict:
    """Whether one of the events of its delivery's holder is what `ending` would have written."""
    wanted = {(ending.state, ending.reason)}
    if not ending.state.terminal:
        wanted.add((JobState.CANCELLED, Reason.CANCELLED_BY))
    return Verdict.APPLIED if wanted & set(told) else Verdict.STALE
