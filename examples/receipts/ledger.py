"""The example's own table: each receipt is stored once, whatever happens to the workers.

Ferryman starts a job again when its worker died, so a job's own writes have to bear that. Two
conditions do it, both on the fencing token, which grows with every delivery of a job:

- `begin` writes the token down. From then on an earlier delivery that still lives, because only
  its host hung, is refused.
- `store` writes the result only under the token that began last, and only if there is none yet.

A delivery that finds its result there (the one before it died after `store`) has nothing to do.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS receipts (
    id TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    merchant TEXT, date TEXT, total TEXT, currency TEXT, score REAL, needs_review INTEGER
);
CREATE TABLE IF NOT EXISTS log (  -- append only: who did what, and when
    at REAL NOT NULL, receipt TEXT NOT NULL, token INTEGER NOT NULL,
    pid INTEGER NOT NULL, what TEXT NOT NULL
);
"""


class Outdated(RuntimeError):
    """A later delivery of this job has begun; this one must not write any more."""


@dataclass(frozen=True)
class Reading:
    """What is stored of a receipt; a `total` is text such as `1234.50`."""

    merchant: str | None
    date: str | None
    total: str | None
    currency: str | None
    score: float
    needs_review: bool


@dataclass(frozen=True)
class Entry:
    """A line of the log. `at` is in seconds since the epoch; `what`: began, stored or refused."""

    at: float
    receipt: str
    token: int
    pid: int
    what: str


class Ledger:
    """The table of receipts in a SQLite file, safe to use from several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Make the tables, if they are not there."""
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_TABLES)

    def begin(self, receipt: str, token: int) -> Reading | None:
        """Note that this delivery works on the receipt; the result, if an earlier one stored it.

        Raises:
            Outdated: a later delivery has begun already.
        """
        with self._transaction() as connection:
            begun = connection.execute(
                "INSERT INTO receipts (id, token) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET token = excluded.token"
                " WHERE receipts.token <= excluded.token",
                (receipt, token),
            )
            self._log(connection, receipt, token, "began" if begun.rowcount else "refused")
            stored = self._stored(connection, "id = ?", receipt).get(receipt)
        if not begun.rowcount:
            raise Outdated(f"{receipt}: delivery {token} began after a later one")
        return stored

    def store(self, receipt: str, token: int, reading: Reading) -> None:
        """Store the result: the effect that must happen once.

        Raises:
            Outdated: a later delivery has begun, or a result is there already.
        """
        with self._transaction() as connection:
            stored = connection.execute(
                "UPDATE receipts SET merchant = :merchant, date = :date, total = :total,"
                " currency = :currency, score = :score, needs_review = :needs_review"
                " WHERE id = :receipt AND token = :token AND score IS NULL",
                {**asdict(reading), "receipt": receipt, "token": token},
            )
            self._log(connection, receipt, token, "stored" if stored.rowcount else "refused")
        if not stored.rowcount:
            raise Outdated(f"{receipt}: delivery {token} is not the latest one, nothing is stored")

    def readings(self) -> dict[str, Reading]:
        """All results that are stored, by receipt."""
        with self._connection() as connection:
            return self._stored(connection, "TRUE")

    def log(self) -> list[Entry]:
        """What deliveries did, in order."""
        with self._connection() as connection:
            return [Entry(**row) for row in connection.execute("SELECT * FROM log ORDER BY rowid")]

    def _stored(
        self, connection: sqlite3.Connection, where: str, *values: str
    ) -> dict[str, Reading]:
        rows = connection.execute(
            f"SELECT * FROM receipts WHERE score IS NOT NULL AND {where}",  # noqa: S608
            values,
        )
        return {
            row["id"]: Reading(
                row["merchant"],
                row["date"],
                row["total"],
                row["currency"],
                row["score"],
                bool(row["needs_review"]),
            )
            for row in rows
        }

    def _log(self, connection: sqlite3.Connection, receipt: str, token: int, what: str) -> None:
        entry = (time.time(), receipt, token, os.getpid(), what)
        connection.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?)", entry)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        connection.row_factory = sqlite3.Row
        with contextlib.closing(connection):
            yield connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # IMMEDIATE waits for the write lock here, where a plain BEGIN may fail further down.
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
