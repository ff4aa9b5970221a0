"""The program of a worker process: imports the application, then runs its jobs until told to stop.

Its lease is kept by the supervisor that started it, so that nothing that a job does to this
process, its loop or its interpreter lock can make it look dead.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import traceback
from typing import Final

from ferryman.client.client import Client
from ferryman.client.loading import BrokenApplication, load_client, require_store
from ferryman.client.portal import new_event_loop
from ferryman.domain.errors import ConfigError, LeaseLost, StoreUnavailable
from ferryman.domain.job import WorkerInfo
from ferryman.stores import JobStore
from ferryman.worker import logs
from ferryman.worker.channel import BlockingChannel, Channel
from ferryman.worker.loop import ResourceBroken, Worker
from ferryman.worker.messages import (
    Broken,
    CancelJobs,
    ChildBegan,
    ChildEnded,
    Go,
    Hello,
    LeaseGone,
    Leaving,
    Message,
    Ready,
    Stop,
    ToProcess,
    Why,
)
from ferryman.worker.options import WorkerOptions
from ferryman.worker.outage import Outage
from ferryman.worker.spawning import Launch, leave_signals_to_parent

logger = logging.getLogger("ferryman.worker")

NEW_OBJECTS: Final = 2000
"""New objects at least between two collections of garbage: the default of later Pythons. With 700
each batch of jobs brings about several, which find nothing: 5 % of what a job costs."""


def served_queues(client: Client, options: WorkerOptions) -> tuple[str, ...]:
    """The queues that were asked for, or else those of the tasks, in order of registration."""
    own = dict.fromkeys(task.policy.queue for task in client.tasks.values())
    return options.queues or tuple(own) or ("default",)


class WorkerProcess:
    """What goes on in the process: the supervisor is answered, and the worker run."""

    def __init__(self, launch: Launch, client: Client, channel: Channel[ToProcess]) -> None:
        self._app = launch.app
        self._options = launch.options
        self._client = client
        self._channel = channel

    async def run(self) -> bool:
        """Work until it is time to leave; whether no job's code is left running."""
        self._channel.send(Hello(self._client.settings, served_queues(self._client, self._options)))
        match await self._channel.receive():
            case Go(info):
                return await self._serve(info)
            case _:
                return True

    def child_began(self, job_id: str) -> None:
        """Tell the supervisor that a job runs in a child."""
        self._channel.send(ChildBegan(job_id))

    def child_ended(self, job_id: str) -> None:
        """Tell the supervisor that it does no more."""
        self._channel.send(ChildEnded(job_id))

    async def _serve(self, info: WorkerInfo) -> bool:
        store = await self._open_store()
        worker = Worker(self._client, store, info, self._options, self, self._app)
        # Sent to this process alone it is a wish to replace it.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, worker.stop, self._options.grace)
        listening = asyncio.create_task(self._listen(worker))
        self._channel.send(await self._work(worker))
        await self._channel.flush()
        listening.cancel()
        return worker.clean

    async def _open_store(self) -> JobStore:
        outage = Outage(logger, "opening the store")
        while True:
            try:
                return await self._client.store()
            except StoreUnavailable as error:
                await asyncio.sleep(outage.failed(error))

    async def _work(self, worker: Worker) -> Message:
        try:
            if self._options.preload:
                await worker.load()
            self._channel.send(Ready())
            last: Message = Leaving(await worker.run())
        except LeaseLost:
            logger.error("lost its lease; its jobs start elsewhere")
            return LeaseGone()  # the supervisor kills this process: nothing ends its jobs sooner
        except ResourceBroken as error:
            traceback.print_exception(error.__cause__)
            last = Broken(str(error))
        except Exception:
            logger.exception("the worker itself failed; its process is replaced")
            last = Leaving(Why.FAULT)
        await worker.abandon()
        await worker.close()
        return last

    async def _listen(self, worker: Worker) -> None:
        while (message := await self._channel.receive()) is not None:
            match message:
                case Stop(grace):
                    worker.stop(grace)
                case CancelJobs(jobs):
                    worker.cancel(jobs)
        # The supervisor is gone, and the lease with it.
        os.killpg(0, signal.SIGKILL)


def collect_less_often() -> None:
    """Unless the application set it to be even less often, or never."""
    first, *rest = gc.get_threshold()
    if 0 < first < NEW_OBJECTS:
        gc.set_threshold(NEW_OBJECTS, *rest)


async def _run(launch: Launch, client: Client, end: socket.socket) -> bool:
    channel: Channel[ToProcess] = await Channel.over(end, ToProcess)
    try:
        return await WorkerProcess(launch, client, channel).run()
    finally:
        await client.aclose()
        await channel.close()


def main() -> int:
    """Import the application and work for it; the exit code means nothing to the supervisor."""
    launch = Launch.accept()
    leave_signals_to_parent()
    end = socket.socket(fileno=launch.descriptor)
    try:
        client = load_client(launch.app)
        options = launch.options
        require_store(client, launch.app, options.database_url, options.valkey_url)
    except ConfigError as error:
        if isinstance(error, BrokenApplication):
            sys.stderr.write(error.users_traceback)
        BlockingChannel(end, ToProcess).send(Broken(str(error)))
        return 1
    leave_signals_to_parent()  # the application may have set handlers of its own
    logs.set_up(launch.options, launch.options.name or "")
    collect_less_often()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        if not runner.run(_run(launch, client, end)):
            # A job's code still runs, in a thread: leaving must not wait for it.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
