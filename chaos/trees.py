"""Worker trees: a supervisor that was started, with the processes and children below it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import psutil

from chaos.servers import start, until
from ferryman.worker.options import WorkerOptions

APP: Final = "chaos.jobs:app"

ROOT: Final = Path(__file__).parents[1]


class Tree:
    """One `ferryman worker`, with instruments."""

    def __init__(
        self, options: WorkerOptions, environment: Mapping[str, str], folder: Path, app: str = APP
    ) -> None:
        given = msgspec.json.encode(options).decode()
        self.log = folder / f"{options.name}.log"
        self.options = options
        self.app = app
        self.process: subprocess.Popen[bytes] = start(
            [sys.executable, "-m", "chaos.worker", app, given],
            self.log,
            cwd=ROOT,
            env=dict(environment),
        )

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self.process.pid

    @property
    def lives(self) -> bool:
        """Whether the supervisor is there."""
        return self.process.poll() is None

    def processes(self) -> list[int]:
        """Its worker processes."""
        return [child.pid for child in _children(self.pid) if _runs(child, "worker.process")]

    def children(self) -> list[int]:
        """The children in which isolated jobs run."""
        below = (one for pid in self.processes() for one in _children(pid))
        return [child.pid for child in below if _runs(child, "worker.child")]

    def all(self) -> list[int]:
        """All of it, the supervisor first."""
        try:
            own = psutil.Process(self.pid)
            return [own.pid, *(child.pid for child in own.children(recursive=True))]
        except psutil.Error:
            return []

    def below(self, pid: int) -> list[int]:
        """A process of it, and what is below that."""
        try:
            own = psutil.Process(pid)
            return [pid, *(child.pid for child in own.children(recursive=True))]
        except psutil.Error:
            return [pid]

    def send(self, number: signal.Signals, pids: Iterable[int]) -> None:
        """Send a signal to processes as far as they are there."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL to all of it, in the order in which nobody is started again."""
        self.send(signal.SIGKILL, self.all())
        self.process.wait()

    def stop(self, patience: float) -> int | None:
        """SIGTERM; its exit code, or `None` if it had to be killed."""
        self.send(signal.SIGTERM, [self.pid])
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def until_working(self, limit: float = 60.0) -> None:
        """Wait until all of its processes serve their queues."""
        wanted = self.options.processes
        until(
            lambda: not self.lives or self.log.read_text().count(" serves ") >= wanted,
            limit,
            f"{self.options.name} works",
        )


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.Error:
        return []


def _runs(process: psutil.Process, program: str) -> bool:
    try:
        return any(program in part for part in process.cmdline()[:4])
    except psutil.Error:
        return False
