"""Jobs as rows of the caller's own transaction."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from sqlalchemy import (
    URL,
    Column,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    func,
    insert,
    select,
)
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from ferryman.domain.errors import ConfigError, JobExists, StoreUnsafe
from ferryman.domain.job import NewJob, Submitted
from ferryman.stores.base import JobFilter
from ferryman.stores.sql.store import SqlStore
from tests.clock import FakeClock
from tests.contract.world import World, new_job

users = Table("users", MetaData(), Column("name", String(50), primary_key=True))
anna = insert(users).values(name="anna")


class Application:
    """A table of the application's own, and engines to reach it."""

    def __init__(self, store: SqlStore, engine: Engine, async_engine: AsyncEngine) -> None:
        self.store = store
        self.engine = engine
        self.async_engine = async_engine

    async def figures(self) -> tuple[int, int]:
        """How many users and how many jobs others see."""
        with self.engine.connect() as connection:
            number = connection.execute(select(func.count()).select_from(users)).scalar_one()
        return number, await self.store.count(JobFilter())


@pytest.fixture
def world(store: SqlStore, clock: FakeClock) -> World:
    return World(store, clock)


@pytest.fixture
async def application(store: SqlStore, engine: Engine, url: URL) -> AsyncIterator[Application]:
    users.create(engine)
    async_engine = create_async_engine(url)
    yield Application(store, engine, async_engine)
    await async_engine.dispose()
    users.drop(engine)


async def _in_session(app: Application, jobs: Sequence[NewJob], commit: bool) -> list[Submitted]:
    with Session(app.engine) as session:
        session.execute(anna)
        submitted = app.store.submit_in(session, jobs)
        session.commit() if commit else session.rollback()
    return submitted


async def _in_scoped_session(
    app: Application, jobs: Sequence[NewJob], commit: bool
) -> list[Submitted]:
    registry = scoped_session(sessionmaker(app.engine))
    registry.execute(anna)
    submitted = app.store.submit_in(registry, jobs)
    registry.commit() if commit else registry.rollback()
    registry.remove()
    return submitted


async def _in_connection(app: Application, jobs: Sequence[NewJob], commit: bool) -> list[Submitted]:
    with app.engine.connect() as connection:
        connection.execute(anna)
        submitted = app.store.submit_in(connection, jobs)
        connection.commit() if commit else connection.rollback()
    return submitted


async def _in_savepoint(app: Application, jobs: Sequence[NewJob], commit: bool) -> list[Submitted]:
    with app.engine.begin() as connection:
        # SQLite's driver begins a transaction only at the first change.
        connection.execute(insert(users).values(name="before"))
        nested = connection.begin_nested()
        connection.execute(anna)
        submitted = app.store.submit_in(connection, jobs)
        nested.commit() if commit else nested.rollback()
        connection.execute(users.delete().where(users.c.name == "before"))
    return submitted


async def _in_async_session(
    app: Application, jobs: Sequence[NewJob], commit: bool
) -> list[Submitted]:
    async with AsyncSession(app.async_engine) as session:
        await session.execute(anna)
        submitted = await app.store.submit(jobs, transaction=session)
        await (session.commit() if commit else session.rollback())
    return submitted


async def _in_async_scoped_session(
    app: Application, jobs: Sequence[NewJob], commit: bool
) -> list[Submitted]:
    registry = async_scoped_session(async_sessionmaker(app.async_engine), asyncio.current_task)
    await registry.execute(anna)
    submitted = await app.store.submit(jobs, transaction=registry)
    await (registry.commit() if commit else registry.rollback())
    await registry.remove()
    return submitted


async def _in_async_connection(
    app: Application, jobs: Sequence[NewJob], commit: bool
) -> list[Submitted]:
    async with app.async_engine.connect() as connection:
        await connection.execute(anna)
        submitted = await app.store.submit(jobs, transaction=connection)
        await (connection.commit() if commit else connection.rollback())
    return submitted


Way = Callable[[Application, Sequence[NewJob], bool], Awaitable[list[Submitted]]]

WAYS: dict[str, Way] = {
    "Session": _in_session,
    "scoped_session": _in_scoped_session,
    "Connection": _in_connection,
    "savepoint": _in_savepoint,
    "AsyncSession": _in_async_session,
    "async_scoped_session": _in_async_scoped_session,
    "AsyncConnection": _in_async_connection,
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@ways
async def test_jobs_exist_with_the_commit(application: Application, way: Way) -> None:
    submitted = await way(application, [new_job("a"), new_job("b", delay=60.0)], True)
    assert submitted == [Submitted("a", "default", True), Submitted("b", "default", True)]
    assert await application.figures() == (1, 2)
    events = await application.store.events("a")
    assert len(events) == 1


@ways
async def test_nothing_is_left_of_a_rollback(application: Application, way: Way) -> None:
    await way(application, [new_job("a"), new_job("b", unique="k")], False)
    assert await application.figures() == (0, 0)
    assert await application.store.events("a") == []
    (again,) = await application.store.submit([new_job("c", unique="k")])
    assert again.created


async def test_jobs_are_not_seen_before_the_commit(application: Application, world: World) -> None:
    with Session(application.engine) as session:
        application.store.submit_in(session, [new_job("a")])
        assert await application.store.get(["a"]) == [None]
        session.commit()
    assert await world.claimed_ids() == ["a"]


async def test_a_refused_key_leaves_the_transaction_usable(
    application: Application, world: World
) -> None:
    await world.submit("holder", unique="k")
    with Session(application.engine) as session:
        session.execute(anna)
        batch = [new_job("before"), new_job("refused", unique="k"), new_job("after")]
        with pytest.raises(JobExists) as caught:
            application.store.submit_in(session, batch)
        assert caught.value.job_id == "holder"
        application.store.submit_in(session, [new_job("other")])
        session.commit()
    assert await application.figures() == (1, 2)
    assert await application.store.get(["before", "refused", "after"]) == [None] * 3
    assert await application.store.events("before") == []


async def test_repeats_and_returned_jobs_in_a_transaction(
    application: Application, world: World
) -> None:
    await world.submit("holder", unique="k")
    async with AsyncSession(application.async_engine) as session, session.begin():
        batch = [new_job("a"), new_job("b", unique="k", on_conflict="return"), new_job("a")]
        submitted = await application.store.submit(batch, transaction=session)
        again = await application.store.submit(batch[:1], transaction=session)
    assert [(one.job_id, one.created) for one in submitted] == [
        ("a", True),
        ("holder", False),
        ("a", False),
    ]
    assert [one.created for one in again] == [False]
    assert await world.claimed_ids() == ["holder", "a"]


async def test_who_waits_hears_of_a_session_that_commits(
    application: Application, world: World
) -> None:
    async def later() -> None:
        for number in range(2):
            async with AsyncSession(application.async_engine) as session:
                await application.store.submit([new_job(f"a{number}")], transaction=session)
                await session.commit()

    begun = time.monotonic()
    await asyncio.gather(world.store.wait_for_work(["default"], 30.0), later())
    assert time.monotonic() - begun < 5.0
    assert await world.claimed_ids() == ["a0", "a1"]


async def test_what_is_no_transaction_is_refused(application: Application) -> None:
    with Session(application.engine) as session, pytest.raises(ConfigError, match="enqueue"):
        await application.store.submit([new_job("a")], transaction=session)
    async with AsyncSession(application.async_engine) as async_session:
        for nothing in (object(), application.engine, "session", async_session):
            with pytest.raises(ConfigError, match=type(nothing).__name__):
                application.store.submit_in(nothing, [new_job("a")])


async def test_a_transaction_on_another_kind_of_database_is_refused(store: SqlStore) -> None:
    if store.kind == "sqlite":
        pytest.skip("a PostgreSQL server is not needed to see it")
    engine = create_engine("sqlite://")
    with engine.begin() as connection, pytest.raises(ConfigError, match="use one database"):
        store.submit_in(connection, [new_job("a")])
    engine.dispose()


async def test_a_database_without_the_tables_says_what_to_do(store: SqlStore) -> None:
    if store.kind == "postgresql":
        pytest.skip("a file without tables is easier to come by")
    engine = create_engine("sqlite://")
    with engine.begin() as connection, pytest.raises(StoreUnsafe, match="ferryman migrate"):
        store.submit_in(connection, [new_job("a")])
    engine.dispose()
