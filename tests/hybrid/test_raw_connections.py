"""T1: a job is a row in the transaction of a driver's own connection."""

import sqlite3
from collections.abc import Callable
from typing import Any

import aiosqlite
import psycopg
import pytest
from psycopg.rows import dict_row

from ferryman.domain.errors import ConfigError
from ferryman.settings import Settings
from ferryman.stores import make_store
from ferryman.stores.base import JobStore
from tests.contract.world import new_job


def connected(settings: Settings) -> Any:
    """A connection of the database's driver, with rows that are no tuples."""
    url = settings.database_url or ""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.partition(":///")[2])
        connection.row_factory = sqlite3.Row
        return connection
    return psycopg.connect(url, row_factory=dict_row)


async def aconnected(settings: Settings) -> Any:
    """The same for asynchronous code."""
    url = settings.database_url or ""
    if url.startswith("sqlite"):
        return await aiosqlite.connect(url.partition(":///")[2])
    return await psycopg.AsyncConnection.connect(url, row_factory=dict_row)


@pytest.fixture
async def store(settings: Settings) -> Any:
    """An open store."""
    store = make_store(settings)
    await store.open()
    yield store
    await store.close()


async def test_commit_and_rollback_decide(store: JobStore, settings: Settings) -> None:
    connection = connected(settings)
    for end, job_id in ((connection.rollback, "no"), (connection.commit, "yes")):
        (submitted,) = store.submit_in(connection, [new_job(job_id)])
        assert submitted.created
        assert await store.get([job_id]) == [None]
        end()
    connection.close()
    assert [job and job.id for job in await store.get(["no", "yes"])] == [None, "yes"]


async def test_commit_and_rollback_decide_async(store: JobStore, settings: Settings) -> None:
    connection = await aconnected(settings)
    for end, job_id in ((connection.rollback, "no"), (connection.commit, "yes")):
        (submitted,) = await store.submit([new_job(job_id)], transaction=connection)
        assert submitted.created
        assert await store.get([job_id]) == [None]
        await end()
    await connection.close()
    assert [job and job.id for job in await store.get(["no", "yes"])] == [None, "yes"]


OTHERS: dict[str, Callable[[], Any]] = {
    "sqlite": lambda: sqlite3.connect(":memory:"),
    "nothing": object,
}


@pytest.mark.parametrize("other", list(OTHERS))
async def test_another_database_is_refused(store: JobStore, settings: Settings, other: str) -> None:
    if (settings.database_url or "").startswith(other):
        pytest.skip("it is the same kind")
    connection = OTHERS[other]()
    with pytest.raises(ConfigError):
        store.submit_in(connection, [new_job("a")])
    getattr(connection, "close", int)()
