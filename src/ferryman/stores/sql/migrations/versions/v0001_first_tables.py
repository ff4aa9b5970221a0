"""The first tables: jobs, their events, workers, queues."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NOT_BEGUN = "state IN ('scheduled', 'waiting', 'queued')"
LIVE = "state IN ('scheduled', 'waiting', 'queued', 'running')"
ENDED = "state IN ('succeeded', 'failed', 'cancelled')"

FIGURES = {
    "sqlite_autoindex_ferryman_jobs_1": "1000000 1",
    "ferryman_jobs_queued": "100000 50000 20000 1",
    "ferryman_jobs_scheduled": "10000 2 1",
    "ferryman_jobs_running": "1000 20",
    "ferryman_jobs_unique": "10000 5000 1",
    "ferryman_jobs_expiring": "10000 2",
    "ferryman_jobs_ended": "900000 400000 2 1",
    "ferryman_jobs_failed": "10000 2",
    "ferryman_jobs_deletable": "900000 2",
    "ferryman_jobs_of_user": "500000 500 2 1",
    "ferryman_jobs_in_state": "1000000 200000 2 1",
    "ferryman_jobs_by_age": "1000000 2 1",
}
"""For SQLite, which gathers none by itself: the rows of an index, and how many share each prefix.

Without them it takes any index that begins with an equality for the best, and would walk over all
jobs of a state where a partial index leads to the few that are wanted.
"""


def _bytewise() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _index(name: str, *columns: str, where: str, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(
        f"ferryman_jobs_{name}",
        "ferryman_jobs",
        [sa.text(column) if " " in column else column for column in columns],
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def upgrade() -> None:
    op.create_table(
        "ferryman_jobs",
        sa.Column("id", _bytewise(), primary_key=True),
        sa.Column("task", _bytewise(), nullable=False),
        sa.Column("queue", _bytewise(), nullable=False),
        sa.Column("state", _bytewise(), nullable=False),
        sa.Column("reason", _bytewise(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("deliveries", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("kills", sa.Integer(), nullable=False),
        sa.Column("worker", _bytewise()),
        sa.Column("cancel_by", sa.Text()),
        sa.Column("unique_key", _bytewise()),
        sa.Column("user_key", _bytewise()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("delete_at", sa.BigInteger()),
        sa.Column("tags", _bytewise(), nullable=False),
        sa.Column("options", sa.LargeBinary()),
        sa.Column("progress", sa.LargeBinary()),
        sa.Column("failure", sa.LargeBinary()),
        sa.Column("checkpoint", sa.LargeBinary()),
        sa.Column("args", sa.LargeBinary(), nullable=False),
        sa.Column("result", sa.LargeBinary()),
    )
    _index("queued", "queue", "priority DESC", "position", where="state = 'queued'")
    _index("scheduled", "due_at", "position", where="state = 'scheduled'")
    _index("running", "worker", where="state = 'running'")
    _index("unique", "queue", "unique_key", where=f"unique_key IS NOT NULL AND {LIVE}", unique=True)
    _index("expiring", "expires_at", where=f"expires_at IS NOT NULL AND {NOT_BEGUN}")
    _index("ended", "queue", "finished_at", "id", where=ENDED)
    _index("failed", "finished_at", where="state = 'failed'")
    _index("deletable", "delete_at", where="delete_at IS NOT NULL")
    _index("of_user", "user_key", "created_at", "id", where="user_key IS NOT NULL")
    op.create_index("ferryman_jobs_in_state", "ferryman_jobs", ["state", "created_at", "id"])
    op.create_index("ferryman_jobs_by_age", "ferryman_jobs", ["created_at", "id"])
    op.create_table(
        "ferryman_events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("job_id", _bytewise(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", _bytewise()),
        sa.Column("target", _bytewise(), nullable=False),
        sa.Column("reason", _bytewise(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("worker", _bytewise()),
        sa.Column("by_holder", sa.Boolean(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ferryman_events_of_job", "ferryman_events", ["job_id", "seq"])
    op.create_table(
        "ferryman_workers",
        sa.Column("id", _bytewise(), primary_key=True),
        sa.Column("info", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("degraded", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "ferryman_queues",
        sa.Column("name", _bytewise(), primary_key=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        _tell_the_planner()


def _tell_the_planner() -> None:
    op.execute("ANALYZE ferryman_queues")  # makes the table of figures where there is none
    figures = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    rows = [{"tbl": "ferryman_jobs", "idx": idx, "stat": stat} for idx, stat in FIGURES.items()]
    rows.append({"tbl": "ferryman_events", "idx": "ferryman_events_of_job", "stat": "3000000 3 1"})
    op.bulk_insert(figures, rows)
    op.execute("ANALYZE sqlite_schema")  # reads them
