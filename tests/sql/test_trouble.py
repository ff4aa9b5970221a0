"""Databases that are busy, broken or full: what is waited for, repeated, and told."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Engine, event, text

from ferryman.domain.errors import StoreFull, StoreUnavailable, StoreUnsafe
from ferryman.domain.job import WorkerInfo
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import JobFilter
from ferryman.stores.sql.store import SqlStore
from tests.clock import FakeClock
from tests.contract.world import World, ending, new_job
from tests.sql.conftest import until

sqlite_only = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[SqlStore]:
    store = SqlStore(settings)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _file(settings: Settings) -> Path:
    assert settings.database_url is not None
    return Path(settings.database_url.removeprefix("sqlite:///"))


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[sqlite3.Connection]:
    """Another process, say, that writes to the file."""
    connection = sqlite3.connect(_file(settings), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


# -- SQLite ----------------------------------------------------------------------------------


@sqlite_only
async def test_a_writer_is_waited_for(settings: Settings, ticking: SqlStore) -> None:
    with _locked(settings) as other:
        submitting = asyncio.create_task(ticking.submit([new_job("a")]))
        assert await ticking.get(["a"]) == [None], "readers do not wait"
        other.execute("ROLLBACK")
        assert (await submitting)[0].created


@sqlite_only
async def test_who_will_write_takes_the_lock_first(ticking: SqlStore, clock: FakeClock) -> None:
    """One that reads before it takes the lock fails at once when someone else writes between."""
    world = World(ticking, clock)
    begins: list[str] = []

    def remember(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN"):
            begins.append(statement)

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        delivery = await world.running()
        await world.finish(delivery)
        await ticking.cancel(["missing"])
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
    assert set(begins) == {"BEGIN IMMEDIATE"}


@sqlite_only
async def test_a_writer_that_takes_too_long_is_told_of(
    settings: Settings, clock: FakeClock
) -> None:
    impatient = msgspec.structs.replace(settings, store_timeout=0.2)
    async with _opened(impatient) as store:
        with _locked(settings):
            with pytest.raises(StoreUnavailable, match="busy with other writers"):
                await store.submit([new_job("a")])
            with pytest.raises(StoreUnavailable):
                await World(store, clock).worker()
        await store.submit([new_job("a")])


@sqlite_only
async def test_a_full_disk_is_told_of(settings: Settings, ticking: SqlStore) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await ticking._engines.write.run(fill)
    jobs = [new_job(f"job-{number}", args=b"x" * 100_000) for number in range(10)]
    with pytest.raises(StoreFull, match="no room"):
        await ticking.submit(jobs)
    assert await ticking.count(JobFilter()) == 0


@sqlite_only
async def test_a_file_that_cannot_be_opened_is_named(settings: Settings, tmp_path: Path) -> None:
    store = SqlStore(Settings(database_url=f"sqlite:///{tmp_path / 'no' / 'folder' / 'jobs.db'}"))
    with pytest.raises(StoreUnavailable, match=r"make the folder .*/no/folder"):
        await store.open()
    await store.close()


# -- PostgreSQL ------------------------------------------------------------------------------


def _cut_all(engine: Engine) -> int:
    """Break every connection to the database but this one."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        return len(rows.all())


@postgresql_only
async def test_broken_connections_are_replaced(
    ticking: SqlStore, engine: Engine, clock: FakeClock
) -> None:
    world = World(ticking, clock)
    worker = await world.worker(lease=60)
    await world.submit("a", "b")
    deliveries = await world.claim(by=worker)
    for call in (
        lambda: ticking.submit([new_job("c")]),
        lambda: ticking.get(["a"]),
        lambda: ticking.renew(worker, 60),
        lambda: ticking.finish([ending(deliveries[0])]),
    ):
        assert _cut_all(engine) > 0
        await call()
    assert await world.state("a") is JobState.SUCCEEDED
    assert (await ticking.get(["c"]))[0] is not None


@postgresql_only
async def test_a_claim_that_lost_its_connection_says_so(
    ticking: SqlStore, engine: Engine, clock: FakeClock
) -> None:
    world = World(ticking, clock)
    worker = await world.worker(lease=60)
    await world.submit("a")
    _cut_all(engine)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await world.claim(by=worker)
    assert [one.job_id for one in await world.claim(by=worker)] == ["a"]


@postgresql_only
async def test_a_deadlock_is_tried_again(settings: Settings, engine: Engine) -> None:
    # Who has waited so long looks for a deadlock, once. The store must not look too early.
    url = f"{settings.database_url}&options=-c%20deadlock_timeout%3D4s"
    lock = text("SELECT 1 FROM ferryman_jobs WHERE id = :id FOR UPDATE")
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with _opened(msgspec.structs.replace(settings, database_url=url)) as store:
        await store.submit([new_job("a"), new_job("b")])
        with engine.connect() as first, engine.connect() as observer:
            first.execute(text("SET LOCAL deadlock_timeout = '60s'"))
            first.execute(lock, {"id": "b"})
            cancelling = asyncio.create_task(store.cancel(["a", "b"]))
            await until(lambda: observer.execute(waiting).scalar_one() == 1)
            # Now each waits for the other, and the store is thrown out.
            await asyncio.to_thread(first.execute, lock, {"id": "a"})
            first.rollback()
        assert await cancelling == ["applied", "applied"]


@postgresql_only
async def test_heartbeats_do_not_wait_for_other_work(
    ticking: SqlStore, engine: Engine, clock: FakeClock
) -> None:
    world = World(ticking, clock)
    worker = await world.worker(lease=60)
    await world.submit("a")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 FROM ferryman_jobs FOR UPDATE"))
        stuck = [asyncio.create_task(ticking.cancel(["a"])) for _ in range(15)]
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        await until(lambda: connection.execute(waiting).scalar_one() == 10)
        async with asyncio.timeout(20):
            assert (await ticking.renew(worker, 60)).live
        connection.rollback()
    await asyncio.gather(*stuck)


@postgresql_only
async def test_a_call_is_bounded_in_time(settings: Settings, engine: Engine) -> None:
    impatient = msgspec.structs.replace(settings, store_timeout=2.0)
    async with _opened(impatient) as store:
        await store.submit([new_job("a")])
        with engine.connect() as connection:
            connection.execute(text("LOCK TABLE ferryman_jobs IN ACCESS EXCLUSIVE MODE"))
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                await store.get(["a"])
            assert time.monotonic() - begun < 10
            connection.rollback()
        assert (await store.get(["a"]))[0] is not None


@postgresql_only
async def test_a_server_that_falls_silent_is_not_waited_for(
    settings: Settings, engine: Engine
) -> None:
    patient = msgspec.structs.replace(settings, store_timeout=3.0)
    async with _opened(patient) as store:
        await store.submit([new_job("a")])
        with _silent(engine):
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                await store.submit([new_job("b")])
            # The driver would wait for five more seconds for the statement to be given up.
            assert time.monotonic() - begun < 6
        assert [one.job_id for one in await store.submit([new_job("b")])] == ["b"]


@contextlib.contextmanager
def _silent(engine: Engine) -> Iterator[None]:
    """The store's connections stay open, and nothing comes back on them."""
    own = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ferryman'"
    with engine.connect() as connection:
        pids = connection.scalars(
            text(f"{own} AND datname = current_database() AND pid <> pg_backend_pid()")
        ).all()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.usefixtures("own_database")
@postgresql_only
async def test_a_server_at_its_limit_of_connections_is_unavailable(
    settings: Settings, engine: Engine
) -> None:
    with engine.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} CONNECTION LIMIT 0"))
        connection.execute(text("CREATE ROLE crowded LOGIN"))
        connection.commit()
        assert settings.database_url is not None
        url = settings.database_url.replace("postgres@", "crowded@")
        store = SqlStore(Settings(database_url=url))
        with pytest.raises(StoreUnavailable, match="too many connections"):
            await store.open()
        await store.close()
        connection.execute(text("DROP ROLE crowded"))
        connection.commit()


@pytest.mark.usefixtures("own_database")
@postgresql_only
async def test_a_standby_is_not_written_to(settings: Settings, engine: Engine) -> None:
    with engine.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        connection.commit()
    async with _opened(settings) as store:
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.submit([new_job("a")])


@pytest.mark.usefixtures("own_database")
async def test_tables_that_vanished_are_told_of(ticking: SqlStore, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE ferryman_events"))
    with pytest.raises(StoreUnsafe, match="ferryman migrate"):
        await ticking.submit([new_job("a")])


async def test_a_cancelled_call_does_not_keep_the_lock_of_the_file(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/jobs.db", store_timeout=3.0)
    store, other = SqlStore(settings), SqlStore(settings)
    await store.open()
    await other.open()
    worker = WorkerInfo(id="w", name="w", host="here", pid=1, queues=("q",), concurrency=1)
    await store.register(worker, 60.0)
    for moment in range(150):
        call = asyncio.create_task(store.renew(worker, 60.0))
        await asyncio.wait([call], timeout=moment % 50 / 10_000)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await other.pause("there")
    await store.close()
    await other.close()
