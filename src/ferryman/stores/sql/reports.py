"""Reports: what a running job tells meanwhile: progress, checkpoints, lines of its log."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    LargeBinary,
    Select,
    Text,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
)

from ferryman.domain.job import LINE_LENGTH, LOG_LINES, LOG_SIZE, EventKind, LogLine
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ProgressUpdate, Verdict
from ferryman.stores.sql.dialect import Dialect, Repeated, Rows
from ferryman.stores.sql.endings import Endings, Holding, in_order
from ferryman.stores.sql.records import clean, encode
from ferryman.stores.sql.tables import events, jobs

_EVENT = (
    *("job_id", "at", "source", "target", "reason", "detail", "token", "worker"),
    *("by_holder", "kind", "body"),
)


class Reports:
    """Reports: each takes effect only while the job runs under its token.

    They are transactions of a few statements: the first one locks the jobs, so that the numbers of
    their events are in the order in which they become visible.
    """

    def __init__(self, dialect: Dialect, endings: Endings) -> None:
        self._dialect = dialect
        self._endings = endings
        self._rows = Rows(
            dialect, id=Text(), token=BigInteger(), progress=LargeBinary(), checkpoint=LargeBinary()
        )
        given = self._rows.c
        values = {
            name: func.coalesce(given[name], jobs.c[name]) for name in ("progress", "checkpoint")
        }
        self._report = endings.statement(self._rows, values, tells=False)
        self._lines = Rows(dialect, id=Text(), body=LargeBinary())
        self._log = Repeated(self._told(EventKind.LOG))
        named = dialect.among(jobs.c.id)
        self._tell = insert(events).from_select(
            _EVENT, self._event(EventKind.PROGRESS, jobs.c.progress).where(named)
        )
        told = events.c.kind == literal(EventKind.PROGRESS, literal_execute=True)
        self._forget = delete(events).where(dialect.among(events.c.job_id), told)
        self._cut = delete(events).where(events.c.seq.in_(self._too_many()))

    def _event(self, kind: EventKind, body: Any) -> Select[Any]:
        running, claimed = literal(JobState.RUNNING.value), literal(Reason.CLAIMED.value)
        told = (running, running, claimed, literal(""), jobs.c.token, jobs.c.worker)
        return select(
            jobs.c.id, self._dialect.now, *told, literal(False), literal(kind.value), body
        )

    def _told(self, kind: EventKind) -> Any:
        given = self._lines.c
        event = self._event(kind, given["body"]).where(jobs.c.id == given["id"])
        if self._lines.table is not None:
            event = event.order_by(given["ordinal"])
        return insert(events).from_select(_EVENT, event)

    def _too_many(self) -> Select[Any]:
        """The numbers of lines that are older than those that are kept."""
        of_log = events.c.kind == literal(EventKind.LOG, literal_execute=True)
        newest: dict[str, Any] = {"partition_by": events.c.job_id, "order_by": events.c.seq.desc()}
        lines = select(
            events.c.seq,
            func.row_number().over(**newest).label("number"),
            func.sum(func.length(events.c.body)).over(**newest).label("size"),
        )
        lines = lines.where(self._dialect.among(events.c.job_id), of_log)
        kept = lines.subquery("kept")
        return select(kept.c.seq).where(or_(kept.c.number > LOG_LINES, kept.c.size > LOG_SIZE))

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
        batch = in_order(reports.values())
        refused = self._endings.apply(connection, self._report, self._rows, batch)
        applied = [one for one in updates if (one.job_id, one.token) not in refused]
        self._write_lines(connection, applied)
        self._tell_progress(connection, applied)
        existing = self._endings.which_exist(connection, {job_id for job_id, _ in refused})
        return [
            Verdict.APPLIED
            if (one.job_id, one.token) not in refused
            else (Verdict.STALE if one.job_id in existing else Verdict.MISSING)
            for one in updates
        ]

    def _write_lines(self, connection: Connection, updates: Sequence[ProgressUpdate]) -> None:
        rows: list[dict[str, Any]] = [
            {"id": one.job_id, "body": _packed(line)}
            for one in updates
            for line in one.lines[-LOG_LINES:]
        ]
        if rows:
            self._log.execute(connection, self._lines.parameters(rows))
            connection.execute(self._cut, {"ids": sorted({row["id"] for row in rows})})

    def _tell_progress(self, connection: Connection, updates: Sequence[ProgressUpdate]) -> None:
        ids = sorted({one.job_id for one in updates if one.progress is not None})
        if ids:
            connection.execute(self._forget, {"ids": ids})
            connection.execute(self._tell, {"ids": ids})


def _packed(line: LogLine) -> bytes:
    return encode(LogLine(line.level, clean(line.text[:LINE_LENGTH])))
