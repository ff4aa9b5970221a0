"""What the database plans to do for the statements of a store's call."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import CacheStats, ExecutionContext

FULL_SCAN = re.compile(
    r"Seq Scan on ferryman_(?:jobs|events)"
    r"|SCAN ferryman_(?:jobs|events)"
    r"(?! USING (?:COVERING )?INDEX ferryman_jobs_(?:by_age|queued|scheduled|expiring))"
)
"""A walk over all of a table, or of an index that holds every job without an order that ends it."""


class Statement(NamedTuple):
    """One statement as it went to the driver."""

    text: str
    parameters: Any
    compiled_before: bool


@contextlib.contextmanager
def statements() -> Iterator[list[Statement]]:
    """Collects what any engine executes meanwhile, but for hints and the begin of transactions."""
    seen: list[Statement] = []

    def remember(
        _connection: Any,
        _cursor: Any,
        text: str,
        parameters: Any,
        context: ExecutionContext,
        executemany: bool,
    ) -> None:
        if not text.startswith(("BEGIN", "PRAGMA", "SELECT pg_notify")):
            first = parameters[0] if executemany else parameters
            # What goes to the driver as it is was compiled before.
            cached = getattr(context, "cache_hit", None) is CacheStats.CACHE_HIT
            hit = cached or context.compiled is None
            seen.append(Statement(text, first, hit))

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", remember)


def plan(engine: Engine, statement: Statement) -> str:
    """What the database says that it would do."""
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(explain + statement.text, statement.parameters)
        return "\n".join(str(row[-1]) for row in rows)


def complaints(engine: Engine, seen: list[Statement], indexes: tuple[str, ...]) -> list[str]:
    """Plans that walk over a whole table, and indexes (as patterns) that no plan uses."""
    plans = [plan(engine, statement) for statement in seen]
    walks = [one for one in plans if FULL_SCAN.search(one)]
    used = "\n".join(plans)
    return walks + [f"{name} is not used:\n{used}" for name in indexes if not re.search(name, used)]
