"""Migrations: they lead to the tables that the code means, and nobody works on others."""

import multiprocessing
import re
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, column, create_engine, inspect, table, text
from sqlalchemy.pool import NullPool

from ferryman.domain.errors import StoreUnavailable, StoreUnsafe
from ferryman.settings import Settings
from ferryman.stores.sql.engine import parse_url
from ferryman.stores.sql.migrations import configuration, upgrade
from ferryman.stores.sql.store import SqlStore
from ferryman.stores.sql.tables import REVISION, VERSION_TABLE, metadata
from tests.backends import UNSYNCED
from tests.contract.world import new_job
from tests.sql.conftest import synchronous

IGNORED = re.compile(rf"{VERSION_TABLE}|sqlite_stat")

OLD_JOB = """
INSERT INTO ferryman_jobs (id, task, queue, state, reason, detail, priority, position, token,
    deliveries, attempts, kills, created_at, due_at, tags, args)
VALUES ('old', 'work', 'default', 'queued', 'submitted', '', 0, 1, 1, 0, 0, 0, 1, 1, '', '[[],{}]')
"""
OLD_EVENT = """
INSERT INTO ferryman_events (job_id, at, target, reason, detail, token, by_holder)
VALUES ('old', 1, 'queued', 'submitted', '', 1, false)
"""

versions = table(VERSION_TABLE, column("version_num"))


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[str]:
    """A database without a table, of the same kind as that of `settings`."""
    if settings.database_url is not None and settings.database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: str = request.getfixturevalue("postgresql_server")
    with psycopg.connect(server.format(database="postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
        try:
            yield server.format(database="empty")
        finally:
            connection.execute("DROP DATABASE empty")


@pytest.fixture
def empty(empty_url: str) -> Iterator[Engine]:
    """An engine on the empty database."""
    engine = create_engine(synchronous(parse_url(empty_url)), poolclass=NullPool)
    yield engine
    engine.dispose()


def _compact(sql: str) -> str:
    """Without blanks that say nothing: a column that was added has others around it."""
    return re.sub(r" ?([,()]) ?", r"\1", re.sub(r"\s+", " ", sql))


def _described(connection: Connection) -> Any:
    """Everything that the database itself says about its tables and indexes."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master"))
        known = {(row.type, row.name): _compact(row.sql or "") for row in rows}
    else:
        columns = connection.execute(
            text(
                "SELECT table_name, column_name, data_type, is_nullable, collation_name, "
                "column_default FROM information_schema.columns WHERE table_schema = 'public'"
            )
        )
        known = {(row.table_name, row.column_name): str(row) for row in columns}
        indexes = connection.execute(text("SELECT indexname, indexdef FROM pg_indexes"))
        known |= {("index", row.indexname): row.indexdef for row in indexes}
    return {key: value for key, value in known.items() if not IGNORED.search(str(key))}


def test_migrations_lead_to_the_tables_of_the_code(empty: Engine, empty_url: str) -> None:
    with empty.begin() as connection:
        metadata.create_all(connection)
        meant = _described(connection)
    with empty.begin() as connection:
        metadata.drop_all(connection)
    upgrade(empty_url)
    with empty.begin() as connection:
        assert _described(connection) == meant
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        connection.execute(text("DROP INDEX ferryman_jobs_queued"))
        assert _described(connection) != meant


async def test_what_an_older_release_wrote_is_there_and_goes_on(
    empty: Engine, empty_url: str
) -> None:
    with empty.begin() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(OLD_JOB))
        connection.execute(text(OLD_EVENT))
    store = SqlStore(Settings(database_url=empty_url, allow=UNSYNCED))
    await store.migrate()
    await store.open()
    try:
        (event,) = await store.events("old")
        assert (event.kind, event.target, event.task) == ("state", "queued", "work")
        cursor = (await store.feed(None)).cursor
        with empty.begin() as connection:  # a worker of the older release, after the migration
            connection.execute(text(OLD_EVENT))
        page = await store.feed(cursor)
        assert [one.job_id for one in page.events] == ["old"]
        assert (await store.feed(page.cursor)).events == ()
        assert [info.queued for info in await store.queues()] == [1]
    finally:
        await store.close()


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    script = ScriptDirectory.from_config(configuration())
    assert script.get_heads() == [REVISION]
    revisions = [one.revision for one in script.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True), "versions are compared as text"


def test_a_repeated_migration_changes_nothing(empty: Engine, empty_url: str) -> None:
    upgrade(empty_url)
    with empty.begin() as connection:
        before = _described(connection)
    upgrade(empty_url)
    with empty.begin() as connection:
        assert _described(connection) == before


def _upgrade_at_once(url: str, ready: Barrier) -> None:
    ready.wait(60)
    upgrade(url)


def test_processes_that_migrate_at_once_wait_for_another(empty: Engine, empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    arguments = (empty_url, ready)
    processes = [context.Process(target=_upgrade_at_once, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with empty.begin() as connection:
        assert inspect(connection).has_table("ferryman_jobs")


async def test_a_database_without_tables_is_refused(empty: Engine, empty_url: str) -> None:
    with empty.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id INTEGER)"))
    store = SqlStore(Settings(database_url=empty_url, allow=UNSYNCED))
    with pytest.raises(StoreUnsafe, match="ferryman migrate"):
        await store.open()
    assert await store.schema_version() is None
    await store.migrate()
    assert await store.schema_version() == REVISION
    await store.open()
    await store.submit([new_job("a")])
    await store.close()


async def test_older_tables_are_refused_and_newer_ones_pass(
    settings: Settings, engine: Engine
) -> None:
    store = SqlStore(settings)
    for version, opens in (("0000", False), ("9999", True), (REVISION, True)):
        with engine.begin() as connection:
            connection.execute(versions.update().values(version_num=version))
        if opens:
            await store.open()
            levels = [finding.level for finding in await store.check() if "tables" in finding.what]
            assert levels == ["ok" if version == REVISION else "warning"]
        else:
            with pytest.raises(StoreUnsafe, match=r"0000.*ferryman migrate"):
                await store.open()
    await store.close()


async def test_a_new_sqlite_file_gets_its_tables(tmp_path: Path) -> None:
    store = SqlStore(Settings(database_url=f"sqlite:///{tmp_path / 'new.db'}"))
    await store.open()
    await store.submit([new_job("a")])
    await store.close()


async def test_the_embedded_file_is_made_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        store = SqlStore(Settings())
        await store.open()
        await store.submit([new_job("a")])
        await store.close()
    assert (tmp_path / ".ferryman" / "ferryman.db").exists()


async def test_the_embedded_file_of_an_older_release_is_brought_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqlStore(Settings())
    await store.open()
    await store.close()
    engine = create_engine("sqlite:///.ferryman/ferryman.db")
    with engine.begin() as connection:
        metadata.drop_all(connection)
        connection.execute(versions.delete())
    engine.dispose()
    await store.open()
    await store.submit([new_job("a")])
    await store.close()


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    store = SqlStore(Settings(database_url="postgresql://me:geheim@127.0.0.1:1/jobs"))
    for call in (store.open, store.migrate):
        with pytest.raises(StoreUnavailable, match=r"me:\*\*\*@127\.0\.0\.1:1/jobs") as caught:
            await call()
        assert "geheim" not in str(caught.value)
    await store.close()
