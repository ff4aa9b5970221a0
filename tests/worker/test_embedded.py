"""The worker inside a host process."""

import asyncio
import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import pytest

from ferryman import (
    INJECT,
    ConfigError,
    Ferryman,
    JobState,
    Reason,
    current_job,
)
from ferryman.client.handles import JobHandle
from ferryman.domain.errors import FerrymanError
from ferryman.settings import Settings
from ferryman.worker.loop import ResourceBroken
from tests.worker.rig import Rig


def application(settings: Settings) -> Ferryman:
    """An application with one task of each kind that a host can run."""
    app = Ferryman(
        settings.database_url,
        settings.valkey_url,
        namespace=settings.namespace,
        lease=settings.lease,
        sweep=settings.sweep,
    )

    @app.task
    async def add_async(a: int, b: int) -> int:
        return a + b

    @app.task
    def add_sync(a: int, b: int) -> int:
        return a + b

    @app.task
    async def nap(seconds: float) -> int:
        await asyncio.sleep(seconds)
        return current_job().deliveries

    return app


async def test_jobs_run_on_the_hosts_loop_and_in_threads(settings: Settings) -> None:
    app = application(settings)
    async with app.worker() as worker:
        jobs = [await app.aenqueue(name, 2, 3) for name in ("add_async", "add_sync")]
        assert [await job.aresult(10) for job in jobs] == [5, 5]
        [status] = await app.workers.alist()
        assert status.live
        await worker.drain()
    assert await app.workers.alist() == []
    await app.aclose()


async def test_drain_waits_for_all_that_is_due(settings: Settings) -> None:
    app = application(settings)
    later = await app.named("nap").using(delay=600).aenqueue(0.0)
    async with app.worker(concurrency=2) as worker:
        jobs = await app.named("nap").aenqueue_many([(0.1,)] * 5)
        due = await app.named("nap").using(delay=0.001).aenqueue(0.0)
        await asyncio.sleep(0.002)
        await worker.drain()
        records = [(await job.arefresh()).record for job in [*jobs, due]]
        assert {record.state for record in records} == {JobState.SUCCEEDED}
        assert (await later.arefresh()).state is JobState.SCHEDULED
    with pytest.raises(FerrymanError, match="does not run"):
        await worker.drain()
    await app.aclose()


async def test_leaving_the_block_hands_back_what_still_runs(settings: Settings) -> None:
    app = application(settings)
    async with app.worker(grace=0.1):
        job = await app.aenqueue("nap", 60)
        await reached(job, JobState.RUNNING)
    record = (await job.arefresh()).record
    assert (record.state, record.attempts, record.kills) == (JobState.QUEUED, 0, 0)
    await app.aclose()


async def reached(job: JobHandle[Any], state: JobState) -> None:
    """Return once the job is in this state."""
    async with asyncio.timeout(30):
        while (await job.arefresh()).state is not state:  # noqa: ASYNC110 - it is far away
            await asyncio.sleep(0.01)


async def test_a_running_job_can_be_cancelled(settings: Settings) -> None:
    app = application(settings)
    async with app.worker():
        job = await app.aenqueue("nap", 60)
        await reached(job, JobState.RUNNING)
        await job.acancel(by="the host")
        await reached(job, JobState.CANCELLED)
        assert job.record.reason is Reason.CANCELLED_BY
    await app.aclose()


async def test_a_blocked_loop_does_not_lose_the_lease(settings: Settings) -> None:
    app = application(msgspec.structs.replace(settings, lease=1.5))

    @app.task
    async def block() -> int:
        time.sleep(3 * app.settings.lease)  # noqa: ASYNC251 - this is the fault that is tested
        return current_job().deliveries

    async with app.worker():
        job = await app.aenqueue("block")
        assert await job.aresult(30) == 1
        [status] = await app.workers.alist()
        assert status.live
    await app.aclose()


async def test_resources_live_as_long_as_the_block(settings: Settings) -> None:
    app = application(settings)
    life: list[str] = []

    @app.resource
    def engine() -> Iterator[str]:
        life.append("loaded")
        yield "engine"
        life.append("torn down")

    def use(*, engine: Any = INJECT) -> str:
        return str(engine)

    use.__annotations__["engine"] = Annotated[str, engine]
    app.task(use)
    async with app.worker(preload=True):
        assert life == ["loaded"]
        jobs = [await app.aenqueue("use") for _ in range(3)]
        assert [await job.aresult(10) for job in jobs] == ["engine"] * 3
        assert life == ["loaded"]
    assert life == ["loaded", "torn down"]
    await app.aclose()


async def test_a_resource_that_cannot_be_loaded_is_said_at_the_start(settings: Settings) -> None:
    app = application(settings)

    @app.resource
    def engine() -> str:
        raise RuntimeError("no such model")

    def use(*, engine: Any = INJECT) -> str:
        return str(engine)

    use.__annotations__["engine"] = Annotated[str, engine]
    app.task(use)
    with pytest.raises(ResourceBroken, match="no such model"):
        async with app.worker(preload=True):
            pass
    assert await app.workers.alist() == []
    await app.aclose()


async def test_isolated_tasks_need_an_application_that_can_be_imported(settings: Settings) -> None:
    app = application(settings)
    app.task(isolation="process")(sum)
    with pytest.raises(ConfigError, match="top level of a module"):
        async with app.worker():
            pass
    await app.aclose()


async def test_a_lost_lease_is_replaced_by_a_new_one(settings: Settings) -> None:
    app = application(settings)
    async with app.worker() as worker:
        [before] = await app.workers.alist()
        store = await app.store()
        await store.unregister(before.info)
        job = await app.aenqueue("nap", 0.1)
        assert await job.aresult(20) == 1
        [after] = [status for status in await app.workers.alist() if status.live]
        assert after.info.id != before.info.id
        await worker.drain()
    await app.aclose()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_script_can_run_isolated_jobs(rig: Rig) -> None:
    """The children import the very file that is run."""
    import subprocess
    import sys

    script = rig.folder / "small_app.py"
    script.write_text(
        "import asyncio, os\n"
        "from ferryman import Ferryman\n"
        "app = Ferryman()\n"
        "@app.task(isolation='process')\n"
        "def where() -> int:\n"
        "    return os.getpid()\n"
        "async def main() -> None:\n"
        "    async with app.worker():\n"
        "        pid = await (await where.aenqueue()).aresult(20)\n"
        "        print('elsewhere' if pid != os.getpid() else 'here')\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env=dict(rig.environment()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "elsewhere\n", done.stderr
