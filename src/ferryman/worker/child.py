"""The program of an isolated child: one job at a time, on the main thread, resources resident.

The main thread runs the jobs, for some libraries work on no other. A second one listens to the
worker process, so that a job can be asked to stop while it runs.
"""

import asyncio
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from ferryman.client.client import Client
from ferryman.client.context import JobContext
from ferryman.client.loading import load_client
from ferryman.client.portal import new_event_loop
from ferryman.client.resources import LiveResources
from ferryman.client.task import Task
from ferryman.domain.errors import ConfigError
from ferryman.domain.job import LOG_LINES, Delivery, LogLine, Progress
from ferryman.domain.outcomes import Outcome, Parked
from ferryman.worker import logs
from ferryman.worker.attempt import Attempt, Stop
from ferryman.worker.buffer import INTERVAL
from ferryman.worker.channel import BlockingChannel
from ferryman.worker.executor import call_coroutine
from ferryman.worker.messages import (
    Began,
    Broken,
    CancelJob,
    Ended,
    LoadResources,
    Quit,
    Ready,
    Report,
    RunJob,
    Terminate,
    ToChild,
)
from ferryman.worker.perform import perform, retry_policy
from ferryman.worker.spawning import Launch, leave_signals_to_parent


class Terminated(BaseException):
    """Unwinds a synchronous job after SIGTERM, so that its `finally` blocks run."""


class Courier:
    """Carries a job's reports to the worker process, merged as the worker's own buffer does."""

    def __init__(self, channel: BlockingChannel[Any]) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._pending: Report | None = None
        self._waiting = threading.Event()
        threading.Thread(target=self._send_on, name="ferryman-reports", daemon=True).start()

    def report(
        self,
        delivery: Delivery,
        progress: Progress | None,
        checkpoint: bytes | None,
        lines: tuple[LogLine, ...] = (),
    ) -> None:
        """See `Reporter.report`."""
        with self._lock:
            earlier = self._pending or Report()
            self._pending = Report(
                progress or earlier.progress,
                earlier.checkpoint if checkpoint is None else checkpoint,
                (earlier.lines + lines)[-LOG_LINES:],
            )
        self._waiting.set()

    def flush(self) -> None:
        """Send what is pending, before the job's outcome is."""
        with self._lock:
            pending, self._pending = self._pending, None
            # Under the lock, so that a report never follows its job's outcome.
            if pending is not None:
                self._channel.send(pending)

    def _send_on(self) -> None:
        while self._waiting.wait():
            self._waiting.clear()
            self.flush()
            time.sleep(INTERVAL)


class JobRunner:
    """Runs what the worker process sends, until it says to quit or is gone."""

    def __init__(self, client: Client, channel: BlockingChannel[ToChild]) -> None:
        self._client = client
        self._channel = channel
        self._courier = Courier(channel)
        self._commands: queue.SimpleQueue[ToChild] = queue.SimpleQueue()
        self._resources = LiveResources(in_thread=False)
        self._attempt: Attempt | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._terminating = False

    def serve(self) -> None:
        """Run jobs; returns when there are no more."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        threading.Thread(target=self._receive, name="ferryman-commands", daemon=True).start()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            self._loop = runner.get_loop()
            self._channel.send(Ready())
            while not self._terminating and self._obey(self._commands.get(), runner):
                pass
            runner.run(self._resources.close())

    def _obey(self, command: ToChild, runner: asyncio.Runner) -> bool:
        match command:
            case LoadResources(names):
                self._channel.send(runner.run(self._load(names)))
            case RunJob(delivery):
                outcome = runner.run(self._run(delivery))
                self._courier.flush()
                self._channel.send(Ended(outcome))
        return not isinstance(command, Quit)

    async def _load(self, names: tuple[str, ...]) -> Ready | Broken:
        try:
            await self._resources.load(self._client.resources[name] for name in names)
        except Exception as error:
            traceback.print_exception(error)
            return Broken(f"{type(error).__name__}: {error}")
        return Ready()

    async def _run(self, delivery: Delivery) -> Outcome:
        task = self._client.tasks.get(delivery.task)
        if task is None:
            return Parked(f"the child that should run it has no task {delivery.task!r}")
        context = JobContext(
            delivery, self._courier, self._client.completion(delivery), task.signature
        )
        attempt = Attempt(delivery, context, retry_policy(task, delivery), lambda *_: None)
        self._attempt = attempt
        try:
            call = self._caller(task, attempt)
            return attempt.judge(await perform(task, delivery, context, self._resources, call))
        finally:
            self._attempt = None

    def _caller(self, task: Task[..., Any], attempt: Attempt) -> Any:
        async def call(function: Callable[[], Any]) -> Any:
            if attempt.context.cancelled:
                raise asyncio.CancelledError
            self._channel.send(Began())
            if task.is_async:
                return await call_coroutine(attempt, function, None, None)
            return function()

        return call

    def _receive(self) -> None:
        """The second thread: what must be heard while a job runs is acted on here."""
        while (message := self._channel.receive()) is not None:
            match message:
                case CancelJob():
                    self._cancel()
                case Terminate():
                    self._terminating = True
                    main = threading.main_thread().ident
                    assert main is not None  # noqa: S101 - narrows the type
                    signal.pthread_kill(main, signal.SIGTERM)
                case _:
                    self._commands.put(message)
        # The worker process is gone: nothing that this one started shall outlive it.
        os.killpg(0, signal.SIGKILL)

    def _cancel(self) -> None:
        attempt, loop = self._attempt, self._loop
        if attempt is not None and loop is not None:
            # At once, for a synchronous job keeps the loop from running.
            attempt.context.request_cancel()
            loop.call_soon_threadsafe(attempt.request, Stop.CANCEL)

    def _on_sigterm(self, *_: object) -> None:
        """A SIGTERM that was not announced went to a whole service: the worker deals with it."""
        if not self._terminating:
            return
        attempt = self._attempt
        if attempt is not None and self._client.lookup(attempt.delivery.task).is_async:
            assert self._loop is not None  # noqa: S101 - narrows the type
            self._loop.call_soon_threadsafe(attempt.request, Stop.CANCEL)
        else:
            raise Terminated


def main() -> int:
    """Import the application and run its jobs."""
    launch = Launch.accept()
    leave_signals_to_parent()
    end = socket.socket(fileno=launch.descriptor)
    channel: BlockingChannel[ToChild] = BlockingChannel(end, ToChild)
    try:
        client = load_client(launch.app)
    except ConfigError as error:
        channel.send(Broken(str(error)))
        return 1
    logs.set_up(launch.options, launch.options.name or "")
    leave_signals_to_parent()  # the application may have set handlers of its own
    try:
        JobRunner(client, channel).serve()
    except Terminated:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
