"""A worker's loop on the contract in memory: no process, no server, every moment in reach."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from ferryman.client.client import Client
from ferryman.domain.job import Job, NewJob
from ferryman.settings import Settings
from ferryman.stores import JobStore
from ferryman.worker.keeping import new_identity
from ferryman.worker.loop import Worker
from ferryman.worker.messages import Why
from ferryman.worker.options import WorkerOptions
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData


async def eventually(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    """Return once `condition` holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - conditions of any kind, without an event
            await asyncio.sleep(0.002)


class Silent:
    """A host that does not care which jobs run in children."""

    def child_began(self, job_id: str) -> None:
        """Nothing."""

    def claimed(self) -> None:
        """A claim was answered."""

    def child_ended(self, job_id: str) -> None:
        """Nothing."""


def model_store() -> ModelStore:
    """An empty store with the real clock."""
    return ModelStore(ModelData(), lambda: time.time_ns() // 1_000_000)


class Direct:
    """A worker that runs in the test's own loop, and its store."""

    def __init__(
        self, client: Client, store: JobStore, worker: Worker, running: "asyncio.Task[Why]"
    ) -> None:
        self.running = running
        self.client = client
        self.store = store
        self.worker = worker

    async def submit(self, name: str, *args: Any, **options: Any) -> str:
        """Enqueue a call of the task; returns the job's id."""
        job: NewJob = self.client.named(name).using(**options).new_job(args, {})
        [submitted] = await self.store.submit([job])
        return submitted.job_id

    async def ended(self, job_id: str, timeout: float = 20.0) -> Job:
        """The job once it has ended."""
        job = await self.store.wait_for_end(job_id, timeout)
        assert job is not None
        assert job.state.terminal, job
        return job

    async def reached(self, job_id: str, *states: str, timeout: float = 20.0) -> Job:
        """The job once it is in one of these states."""
        async with asyncio.timeout(timeout):
            while True:
                [job] = await self.store.get([job_id])
                assert job is not None
                if job.state in states:
                    return job
                await asyncio.sleep(0.005)

    async def promote(self) -> None:
        """Queue what is due, as the upkeep would."""
        await self.store.promote()


@contextlib.asynccontextmanager
async def directly(
    client: Client, store: JobStore | None = None, **options: Any
) -> AsyncIterator[Direct]:
    """Run a worker for `client` with these options as long as the block lasts."""
    options = {"grace": 5.0, "cancel_grace": 0.2} | options
    given = WorkerOptions(**options)
    store = store or model_store()
    queues = tuple(dict.fromkeys(task.policy.queue for task in client.tasks.values()))
    info = new_identity("direct", 1, given.queues or queues, given.concurrency)
    await store.register(info, 60)
    worker = Worker(client, store, info, given, Silent(), None)
    running = asyncio.create_task(worker.run())
    try:
        yield Direct(client, store, worker, running)
    finally:
        worker.stop(given.grace)
        try:
            await running
        finally:
            await worker.close()


def client(**settings: Any) -> Client:
    """An application that reaches no store by itself."""
    return Client(Settings(valkey_url="redis://127.0.0.1:1", **settings))
