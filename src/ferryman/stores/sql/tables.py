"""The tables of the SQL store: what is kept, and which index serves which statement.

Every moment is a count of epoch milliseconds by the store's clock. A partial index repeats its
condition with constants, since a planner cannot prove that a bound value fits one.
"""

from typing import Any, Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    literal_column,
)
from sqlalchemy.types import TypeEngine

from ferryman.domain.figures import BOUNDS
from ferryman.domain.states import JobState

REVISION: Final = "0002"
"""The migration that makes the tables look like this."""

VERSION_TABLE: Final = "ferryman_version"

metadata: Final = MetaData()

Bytewise: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is only ever compared as bytes: cheaper, and in the same order everywhere."""

jobs: Final = Table(
    "ferryman_jobs",
    metadata,
    Column("id", Bytewise, primary_key=True),
    Column("task", Bytewise, nullable=False),
    Column("queue", Bytewise, nullable=False),
    Column("state", Bytewise, nullable=False),
    Column("reason", Bytewise, nullable=False),
    Column("detail", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    # Its place among those of its priority: about the number of the event that queued it.
    Column("position", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("deliveries", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("kills", Integer, nullable=False),
    # Who claimed it last; it means something only while the job runs or once it has ended.
    Column("worker", Bytewise),
    # Who asked the running job to stop; empty is someone without a name, NULL is nobody.
    Column("cancel_by", Text),
    Column("unique_key", Bytewise),
    Column("user_key", Bytewise),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    # When an ended job is to be deleted.
    Column("delete_at", BigInteger),
    # ",a,b,": each tag between commas, which no tag can hold.
    Column("tags", Bytewise, nullable=False),
    # What may be large comes last, so that SQLite need not read through it.
    Column("options", LargeBinary),
    Column("progress", LargeBinary),
    Column("failure", LargeBinary),
    Column("checkpoint", LargeBinary),
    Column("args", LargeBinary, nullable=False),
    Column("result", LargeBinary),
)

events: Final = Table(
    "ferryman_events",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("job_id", Bytewise, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("source", Bytewise),
    Column("target", Bytewise, nullable=False),
    Column("reason", Bytewise, nullable=False),
    Column("detail", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("worker", Bytewise),
    # Whether the holder of the token wrote it: then a repeat of its ending was applied already.
    Column("by_holder", Boolean, nullable=False),
    # What it tells of, where that is no change of state; and then what the job reported.
    Column("kind", Bytewise),
    Column("body", LargeBinary),
    # The transaction that wrote it, so that a reader finds what was committed late (PostgreSQL).
    Column("xact", BigInteger),
    sqlite_autoincrement=True,  # a number is never given twice, so a reader may go on from one
)

workers: Final = Table(
    "ferryman_workers",
    metadata,
    Column("id", Bytewise, primary_key=True),
    Column("info", LargeBinary, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    # Whether the lane was down for whoever renewed the lease last.
    Column("degraded", Boolean, nullable=False),
)

queues: Final = Table(
    "ferryman_queues",
    metadata,
    Column("name", Bytewise, primary_key=True),
    Column("paused", Boolean, nullable=False),
)

# The counts of all queues as they were at a moment, where counting takes long; one row.
counts: Final = Table(
    "ferryman_counts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    # Milliseconds that it took to count.
    Column("cost", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

COUNTED: Final = ("submitted", "started", "succeeded", "failed", "cancelled", "retried")
SPREADS: Final = {
    name: (f"{name}_total", *(f"{name}_{bucket}" for bucket in range(len(BOUNDS) + 1)))
    for name in ("wait", "run")
}
"""The columns of each spread: milliseconds in all, then the buckets."""

MEASURES: Final = (*COUNTED, *SPREADS["wait"], *SPREADS["run"])

figures: Final = Table(
    "ferryman_figures",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("queue", Bytewise, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in MEASURES),
)

keys: Final = Table(
    "ferryman_keys",
    metadata,
    Column("id", Bytewise, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("body", LargeBinary, nullable=False),
)

actions: Final = Table(
    "ferryman_actions",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)


def constant(state: JobState) -> ColumnElement[str]:
    """A state as part of the statement's text."""
    return literal_column(f"'{state.value}'", Bytewise)


def one_of(*states: JobState) -> ColumnElement[bool]:
    """Whether a job is in one of `states`."""
    if len(states) == 1:
        return jobs.c.state == constant(states[0])
    return jobs.c.state.in_([constant(state) for state in states])


NOT_BEGUN: Final = (JobState.SCHEDULED, JobState.WAITING, JobState.QUEUED)
LIVE: Final = (*NOT_BEGUN, JobState.RUNNING)
ENDED: Final = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def _partial(name: str, *columns: Any, where: ColumnElement[bool], unique: bool = False) -> Index:
    return Index(
        f"ferryman_jobs_{name}",
        *columns,
        unique=unique,
        sqlite_where=where,
        postgresql_where=where,
    )


_job = jobs.c
_partial("queued", _job.queue, _job.priority.desc(), _job.position, where=one_of(JobState.QUEUED))
_partial("scheduled", _job.due_at, _job.position, where=one_of(JobState.SCHEDULED))
_partial("running", _job.worker, where=one_of(JobState.RUNNING))
_partial(
    "unique",
    _job.queue,
    _job.unique_key,
    where=_job.unique_key.is_not(None) & one_of(*LIVE),
    unique=True,
)
_partial("expiring", _job.expires_at, where=_job.expires_at.is_not(None) & one_of(*NOT_BEGUN))
_partial("ended", _job.queue, _job.finished_at, _job.id, where=one_of(*ENDED))
_partial("failed", _job.finished_at, where=one_of(JobState.FAILED))
_partial("deletable", _job.delete_at, where=_job.delete_at.is_not(None))
_partial("of_user", _job.user_key, _job.created_at, _job.id, where=_job.user_key.is_not(None))
Index("ferryman_jobs_in_state", _job.state, _job.created_at, _job.id)
Index("ferryman_jobs_by_age", _job.created_at, _job.id)
Index("ferryman_events_of_job", events.c.job_id, events.c.seq)
_numbered: Final = events.c.xact.is_not(None)
Index(
    "ferryman_events_by_xact",
    events.c.xact,
    events.c.seq,
    sqlite_where=_numbered,  # so that it is empty there
    postgresql_where=_numbered,
)

event.listen(
    events,
    "after_create",
    # Not a default of the column's own: SQLite knows no such number. Releases that do not know of
    # the column write it as well.
    DDL(  # type: ignore[no-untyped-call]
        "ALTER TABLE ferryman_events ALTER COLUMN xact SET DEFAULT txid_current()"
    ).execute_if(dialect="postgresql"),
)
