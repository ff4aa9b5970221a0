"""Figures of what went through the queues, in steps, for charts."""

from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Integer, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from ferryman.domain.figures import STEPS
from ferryman.stores.sql.dialect import Dialect
from ferryman.stores.sql.tables import MEASURES, figures
from ferryman.stores.tally import Counts, in_steps

_SINCE: Final = (
    select(figures)
    .where(figures.c.step == bindparam("of_step", type_=Integer))
    .where(figures.c.at >= bindparam("since", type_=BigInteger))
)


class Ledger:
    """Adds up counts, and gives them back."""

    def __init__(self, dialect: Dialect) -> None:
        insert: Any = postgresql.insert if dialect.postgresql else sqlite.insert
        new = insert(figures)
        more = {name: figures.c[name] + new.excluded[name] for name in MEASURES}
        keys = [figures.c.step, figures.c.at, figures.c.queue]
        self._add = new.on_conflict_do_update(index_elements=keys, set_=more)
        self._forget = delete(figures).where(
            figures.c.step == bindparam("of_step", type_=Integer),
            figures.c.at < dialect.now - bindparam("age", type_=BigInteger),
        )

    def add(self, connection: Connection, counts: Counts) -> None:
        """Add counts to each step that is kept, and forget what is older than that."""
        rows = [
            {"step": step, "at": at, "queue": queue} | dict(zip(MEASURES, count, strict=True))
            for step in STEPS
            # In one order for all, so that two processes cannot deadlock.
            for (at, queue), count in sorted(in_steps(counts, step).items())
        ]
        connection.execute(self._add, rows)
        for step, age in STEPS.items():
            connection.execute(self._forget, {"of_step": step, "age": age * 1000})

    def since(self, connection: Connection, moment: int, step: int) -> Counts:
        """What was counted in a step that is kept, since a moment."""
        rows = connection.execute(_SINCE, {"of_step": step, "since": moment})
        return {
            (row["at"], row["queue"]): [row[name] for name in MEASURES] for row in rows.mappings()
        }
