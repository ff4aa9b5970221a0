"""Enqueueing inside the caller's own transaction."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from ferryman import ConfigError, Ferryman, JobExists
from tests.backends import migrate


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'app.db'}"
    migrate(url)
    return url


def test_a_job_lives_and_dies_with_the_callers_transaction(url: str) -> None:
    app, engine = Ferryman(url), create_engine(url)
    task = app.named("work")

    with Session(engine) as session:
        task.using(session=session, id="undone").enqueue(1)
        session.rollback()
        task.using(session=session, id="kept").enqueue(1)
        assert app.jobs.count() == 0
        session.commit()

    assert [job.id for job in app.jobs.list()] == ["kept"]
    app.close()
    engine.dispose()


def test_a_refused_job_leaves_the_transaction_usable(url: str) -> None:
    app, engine = Ferryman(url), create_engine(url)
    task = app.named("work")

    with Session(engine) as session:
        task.using(session=session, unique="k").enqueue(1)
        with pytest.raises(JobExists):
            task.using(session=session, unique="k").enqueue(2)
        task.using(session=session).enqueue(3)
        session.commit()

    assert app.jobs.count() == 2
    app.close()
    engine.dispose()


async def test_the_same_with_an_asynchronous_session(url: str) -> None:
    app = Ferryman(url)
    engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite"))
    task = app.named("work")

    async with AsyncSession(engine) as session:
        await task.using(session=session, id="undone").aenqueue(1)
        await session.rollback()
        await task.using(session=session, id="kept").aenqueue(1)
        await session.commit()

    assert [job.id for job in await app.jobs.alist()] == ["kept"]
    await app.aclose()
    await engine.dispose()


def test_an_asynchronous_session_needs_the_asynchronous_twin(url: str) -> None:
    app = Ferryman(url)
    session = AsyncSession(create_async_engine(url.replace("sqlite", "sqlite+aiosqlite")))

    with pytest.raises(ConfigError, match="aenqueue"):
        app.named("work").using(session=session).enqueue(1)
