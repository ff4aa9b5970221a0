"""The demo's worker: started as anyone would start it, killed on purpose, and left nowhere."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import psutil

APP = "examples.receipts.app:app"
ROOT = Path(__file__).parents[2]
CHILD_MEMORY = 0.75 * 2**30
"""Bytes that a child with a loaded engine may come to need."""

GRACE = 5.0
"""Seconds for running jobs when the worker is told to stop."""


class WorkerStopped(RuntimeError):
    """The worker ended though nobody told it to."""


def sensible_concurrency() -> int:
    """As many receipts at a time as cores and memory allow, at most 4."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(4, cores, int(psutil.virtual_memory().available / CHILD_MEMORY)))


class Fleet:
    """`ferryman worker` in a process of its own, and all that it starts.

    Args:
        concurrency: receipts at a time; each has a child process with an engine of its own.
        log: where the worker's output goes.
    """

    def __init__(self, concurrency: int, log: Path) -> None:
        self._log = log
        self._command = [
            *(sys.executable, "-m", "ferryman", "worker", APP),
            *("--concurrency", str(concurrency), "--preload", "--grace", str(GRACE)),
        ]
        self._worker: psutil.Popen | None = None
        self._seen: set[psutil.Process] = set()

    def __enter__(self) -> "Fleet":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for left in self.stop():
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()

    def start(self) -> None:
        """Start the worker; again after `kill`, as a service manager would."""
        with self._log.open("a") as log:
            # In a session of its own, so that Ctrl-C reaches the demo only, which then stops it.
            self._worker = psutil.Popen(
                self._command, stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )

    def look(self) -> None:
        """Note which processes there are.

        Raises:
            WorkerStopped: the worker has ended; the message holds the end of its log.
        """
        if self._worker is None or self._worker.poll() is not None:
            lines = self._log.read_text().splitlines()[-15:]
            raise WorkerStopped("\n".join(["the worker has stopped; its log ends with:", *lines]))
        self._seen |= {self._worker, *self._worker.children(recursive=True)}

    def kill(self) -> None:
        """SIGKILL the worker with every process that it has: a host that loses its power."""
        self.look()
        for process in self._seen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self._seen, timeout=5)

    def stop(self) -> list[psutil.Process]:
        """Tell the worker to stop and wait for it; returns processes that are left all the same."""
        if self._worker is not None and self._worker.poll() is None:
            self.look()
            self._worker.send_signal(signal.SIGTERM)
            with contextlib.suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
                self._worker.wait(GRACE + 5)
        _, left = psutil.wait_procs(self._seen, timeout=2)
        return left
