"""What the feed of events, charts, API keys and operators need."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COUNTED = ("submitted", "started", "succeeded", "failed", "cancelled", "retried")
BUCKETS = 12


def _bytewise() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _measures() -> list[str]:
    spreads = [f"{name}_{part}" for name in ("wait", "run") for part in ("total", *range(BUCKETS))]
    return [*COUNTED, *spreads]


def upgrade() -> None:
    # Without defaults, so that no row is written anew. Events that are there already have no
    # number of a transaction: none of them is committed late.
    op.add_column("ferryman_events", sa.Column("kind", _bytewise()))
    op.add_column("ferryman_events", sa.Column("body", sa.LargeBinary()))
    op.add_column("ferryman_events", sa.Column("xact", sa.BigInteger()))
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE ferryman_events ALTER COLUMN xact SET DEFAULT txid_current()")
    numbered = sa.text("xact IS NOT NULL")
    op.create_index(
        "ferryman_events_by_xact",
        "ferryman_events",
        ["xact", "seq"],
        sqlite_where=numbered,
        postgresql_where=numbered,
    )
    op.create_table(
        "ferryman_counts",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "ferryman_figures",
        sa.Column("step", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("queue", _bytewise(), primary_key=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _measures()),
    )
    op.create_table(
        "ferryman_keys",
        sa.Column("id", _bytewise(), primary_key=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "ferryman_actions",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sqlite_autoincrement=True,
    )
