"""Faults of the database: stopped at once, connections ended or exhausted, tables locked."""

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import psycopg

from chaos.faults.base import LEASES, Fault, repeated
from chaos.servers import Postgresql
from chaos.stage import Stage

LEFT: Final = 2
"""Connections that are left to others."""
BLOCK: Final = 1 << 20


def _server(stage: Stage) -> Postgresql:
    assert stage.postgresql is not None  # noqa: S101 - the fault applies only where there is one
    return stage.postgresql


@contextlib.contextmanager
def stopped_at_once(stage: Stage) -> Iterator[None]:
    """An immediate stop of PostgreSQL, and a start with recovery."""
    server = _server(stage)
    with stage.fault("postgresql stopped at once", "store", charges=True):
        server.stop_at_once()
        yield
        server.start()


@contextlib.contextmanager
def frozen(stage: Stage) -> Iterator[None]:
    """SIGSTOP of all processes of PostgreSQL past the leases."""
    server = _server(stage)
    with stage.fault("postgresql frozen", "store", charges=True):
        server.freeze()
        yield
        server.thaw()


@contextlib.contextmanager
def terminated(stage: Stage) -> Iterator[None]:
    """`pg_terminate_backend` of all connections, twice a second."""
    server = _server(stage)
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"

    def terminate() -> None:
        with server.connect() as connection:
            connection.execute(f"{others} AND backend_type = 'client backend'")

    with stage.fault("postgresql connections ended", "none"), repeated(terminate, 0.5):
        yield


@contextlib.contextmanager
def exhausted(stage: Stage) -> Iterator[None]:
    """A stranger takes nearly all connections that are left."""
    server = _server(stage)
    held: list[psycopg.Connection[Any]] = []
    with stage.fault("postgresql connections exhausted", "none"):
        with contextlib.suppress(psycopg.Error):
            while True:
                held.append(server.connect())
        for connection in held[:LEFT]:
            connection.close()
        yield
        for connection in held:
            connection.close()


@contextlib.contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """A stranger locks the table of the jobs."""
    with (
        stage.fault("postgresql table locked", "store", charges=True),
        _server(stage).connect() as connection,
        connection.transaction(),
    ):
        connection.execute("LOCK TABLE ferryman_jobs IN ACCESS EXCLUSIVE MODE")
        yield


@contextlib.contextmanager
def deadlocks(stage: Stage) -> Iterator[None]:
    """Two strangers lock jobs that run or are queued in opposite orders, again and again."""
    server = _server(stage)

    def lock(order: str) -> None:
        with server.connect() as connection, connection.transaction():
            ids = connection.execute(
                "SELECT id FROM ferryman_jobs WHERE state IN ('running', 'queued') LIMIT 20"
            ).fetchall()
            for (job,) in sorted(ids, reverse=order == "down"):
                connection.execute("SELECT 1 FROM ferryman_jobs WHERE id = %s FOR UPDATE", [job])

    with stage.fault("postgresql deadlocks", "none"), contextlib.ExitStack() as strangers:
        for order in ("up", "down", "up", "down"):
            strangers.enter_context(repeated(partial(lock, order), 0.01))
        yield


@contextlib.contextmanager
def held(stage: Stage) -> Iterator[None]:
    """A stranger holds the SQLite file's one lock."""
    path = (stage.direct.database_url or "").removeprefix("sqlite:///")
    with (
        stage.fault("sqlite held", "store", charges=True),
        contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection,
    ):
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def disk_full(stage: Stage) -> Iterator[None]:
    """The disk of the servers is filled up, and then emptied again."""
    filler = stage.folder / "disk" / "filler"
    with stage.fault("disk full", "store", charges=True, forgets=1.0):
        with filler.open("wb") as file, contextlib.suppress(OSError):
            for start in itertools.count(0, BLOCK):
                os.posix_fallocate(file.fileno(), start, BLOCK)
        yield
        filler.unlink()
        stage.revive_servers()


def _postgresql(name: str, inject: Any, **more: Any) -> Fault:
    return Fault(name=f"postgresql {name}", inject=inject, need="postgresql", **more)


FAULTS: Final = (
    _postgresql("stopped at once", stopped_at_once, hold=0.5),
    _postgresql("frozen", frozen, leases=LEASES),
    _postgresql("connections ended", terminated, hold=3.0),
    _postgresql("connections exhausted", exhausted, leases=LEASES),
    _postgresql("table locked", locked, hold=30.0, joins=False),
    _postgresql("deadlocks", deadlocks, hold=3.0),
    Fault(name="sqlite held", inject=held, need="sqlite", hold=6.0, leases=LEASES),
    Fault(
        name="disk full",
        inject=disk_full,
        hold=3.0,
        setup={"disk": 160 << 20},
        power=True,
        joins=False,
    ),
)
