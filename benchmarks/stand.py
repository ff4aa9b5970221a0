"""One system on an empty store: a process that enqueues, workers, and the ledger beside them."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks import environments, ledger
from benchmarks.ground import Ground
from benchmarks.ledger import Ledger, Spans
from benchmarks.peers.base import Work
from benchmarks.systems import System

CAPACITY = 4_000_000
"""Jobs of one stand at most."""

STALL = 30.0
"""Seconds without a job done after which the rest counts as lost."""

ORDER_LIMIT = 900.0
"""Seconds that an order to enqueue may take."""

LEAVE = 3.0
"""Seconds that a worker without jobs has to leave by itself."""

LOOK = 0.02
"""Seconds between two looks into the ledger."""

ROOT = Path(__file__).parents[1]


class Failed(Exception):
    """A system did not do what was asked; the message has the end of its log."""


class Stand:
    """A system that was set up. Jobs have the numbers 0, 1, 2, … as they are enqueued."""

    def __init__(self, system: System, environment: dict[str, str], folder: Path) -> None:
        self.system = system
        self.ledger = Ledger.create(folder / "ledger", CAPACITY)
        self.environment = environment
        self._log = (folder / "log").open("w+")
        self._next = 0
        self._variables = {
            **_without(os.environ, ("FERRYMAN_", "BENCHMARK_", "PYTHONDONTWRITEBYTECODE")),
            **environment,
            ledger.VARIABLE: str(folder / "ledger"),
            "BENCHMARK_VARIANT": system.variant,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        }
        self._python = str(environments.interpreter(system))
        self._producer = self._start("benchmarks.produce", system.peer, stdin=subprocess.PIPE)
        self.abilities: dict[str, Any] = self._answer()

    def close(self) -> None:
        """End the process that enqueues."""
        with contextlib.suppress(BrokenPipeError):
            self._pipe(self._producer.stdin).close()
        _end(self._producer)
        self._pipe(self._producer.stdout).close()
        self._log.close()

    def everything(self) -> range:
        """The numbers of all jobs that were enqueued so far."""
        return range(self._next)

    def order(
        self, method: str, task: str, most: int, **details: Any
    ) -> tuple[range, dict[str, Any]]:
        """Let at most so many jobs be enqueued; returns their numbers and what is told of it.

        Raises:
            Failed: the system's process gave up, or took far too long.
        """
        answer = self._ask(method, task=task, first=self._next, most=most, **details)
        numbers = range(self._next, self._next + answer["jobs"])
        self._next = numbers.stop
        return numbers, answer

    def rest(self) -> None:
        """Let the process that enqueues drop its connections."""
        self._ask("rest")

    def _ask(self, method: str, **order: Any) -> Any:
        pipe = self._pipe(self._producer.stdin)
        try:
            pipe.write(json.dumps([method, order]) + "\n")
            pipe.flush()
        except BrokenPipeError:
            raise self.failure("the process that enqueues has ended") from None
        return self._answer()

    @contextlib.contextmanager
    def working(
        self, work: Work, elsewhere: dict[str, str] | None = None
    ) -> Iterator[psutil.Process]:
        """A worker, for as long as this lasts.

        Args:
            elsewhere: what its environment says instead of where the servers are.
        """
        options = json.dumps(asdict(work))
        worker = self._start("benchmarks.work", self.system.peer, options, elsewhere=elsewhere)
        try:
            yield psutil.Process(worker.pid)
            if worker.poll() is not None:
                raise self.failure(f"the worker has ended by itself ({worker.returncode})")
        finally:
            _end(worker)

    def until_done(self, numbers: range) -> int:
        """Return once all of these jobs were done, or none was for long; how many are missing."""
        looks, latest, changed = ledger.waiting(self.ledger, numbers), -1, time.monotonic()
        for missing in looks:
            if missing != latest:
                latest, changed = missing, time.monotonic()
            elif time.monotonic() - changed > STALL:
                break
            time.sleep(LOOK)
        return len(numbers) - self.ledger.read(numbers).done

    def read(self, numbers: range) -> Spans:
        """What the ledger has of these jobs.

        Raises:
            Failed: none of them was done.
        """
        spans = self.ledger.read(numbers)
        if not spans.done:
            raise self.failure("no job was done")
        return spans

    def failure(self, message: str) -> Failed:
        """That error, with what the system's processes had to say."""
        self._log.flush()
        text = Path(self._log.name).read_text(errors="replace")
        return Failed(f"{self.system.name}: {message}\n{text[-3000:]}")

    def _start(
        self,
        *module: str,
        stdin: int = subprocess.DEVNULL,
        elsewhere: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._python, "-m", *module],
            env=self._variables | (elsewhere or {}),
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE if stdin == subprocess.PIPE else self._log,
            stderr=self._log,
            text=True,
        )

    def _answer(self) -> Any:
        watchdog = threading.Timer(ORDER_LIMIT, self._producer.kill)
        watchdog.start()
        try:
            line = self._pipe(self._producer.stdout).readline()
        finally:
            watchdog.cancel()
        if not line:
            raise self.failure("the process that enqueues has failed")
        return json.loads(line)

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@contextlib.contextmanager
def stand(ground: Ground, system: System) -> Iterator[Stand]:
    """A stand on an empty store of this ground."""
    shared = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - memory, not a file
    with (
        ground.fresh() as environment,
        tempfile.TemporaryDirectory(prefix="ferryman-", dir=shared) as folder,
    ):
        one = Stand(system, environment, Path(folder))
        try:
            yield one
        finally:
            one.close()


def _end(process: subprocess.Popen[str]) -> None:
    """Ask a process and all that it started to stop, and see to it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LEAVE)
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    if process.poll() is None:
        process.kill()
    process.wait()


def _without(variables: os._Environ[str], prefixes: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if not name.startswith(prefixes)}
