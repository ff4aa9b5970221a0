"""Several processes on one database: claims, and a death in the middle of a transaction."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import JobFilter
from ferryman.stores.sql.store import SqlStore
from tests.contract.world import new_job
from tests.sql.conftest import OpenStore

ROOT = Path(__file__).parents[2]

DYING = """
import os, signal, sys
from sqlalchemy import create_engine, text
from ferryman.domain.job import NewJob
from ferryman.settings import Settings
from ferryman.stores.sql.store import SqlStore
from tests.sql.conftest import synchronous
from ferryman.stores.sql.engine import parse_url

store = SqlStore(Settings(database_url=sys.argv[1]))
engine = create_engine(synchronous(parse_url(sys.argv[1])))
with engine.begin() as connection:
    jobs = [NewJob(id=f"lost-{n}", task="t", queue="default", args=b"") for n in range(20)]
    store.submit_in(connection, jobs)
    print("in the middle", flush=True)
    signal.pause()
"""


@contextlib.asynccontextmanager
async def _process(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        # The pipes' transports close in a later turn of the loop.
        process._transport.close()  # type: ignore[attr-defined]


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    return await process.stdout.readline()


async def test_processes_get_each_delivery_once(settings: Settings, open_store: OpenStore) -> None:
    total, limits = 1500, (1, 7, 40)
    store = await open_store()
    for part in range(0, total, 500):
        await store.submit([new_job(f"job-{n}") for n in range(part, part + 500)])
    async with contextlib.AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(
                _process("-m", "tests.sql.claimer", str(settings.database_url), str(limit))
            )
            for limit in limits
        ]
        for process in processes:
            assert await _line(process) == b"ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
        lines = await asyncio.gather(*map(_line, processes))
    taken = [msgspec.json.decode(line, type=list[tuple[str, int]]) for line in lines]
    deliveries = [one for part in taken for one in part]
    assert len(deliveries) == len({job_id for job_id, _ in deliveries}) == total
    assert all(taken)
    assert await store.count(JobFilter(state=JobState.SUCCEEDED)) == total


async def test_a_death_in_the_middle_leaves_nothing(settings: Settings, ticking: SqlStore) -> None:
    async with _process("-c", DYING, str(settings.database_url)) as process:
        assert await _line(process) == b"in the middle\n"
        assert await ticking.count(JobFilter()) == 0
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await ticking.submit([new_job("after")])
    (job,) = (await ticking.page(JobFilter())).jobs
    assert job.id == "after"
    assert await ticking.events("lost-0") == []
