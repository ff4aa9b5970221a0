"""Real workers for tests: started as processes, watched through the store and a journal."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import psutil

from ferryman import Ferryman
from ferryman.client.handles import JobHandle
from ferryman.settings import Settings
from ferryman.worker.options import WorkerOptions
from tests.forked import Forked

T = TypeVar("T")

APP = "tests.worker.jobs:app"
ROOT = Path(__file__).parents[2]


class Line(NamedTuple):
    """What a job wrote down: a word, its id, its process, the monotonic moment."""

    word: str
    job_id: str
    pid: int
    at: float


def until(condition: Callable[[], T], timeout: float = 20.0) -> T:
    """The first true value of `condition`, looked at again and again."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {condition}"
        time.sleep(0.01)
    return value


def _supervise(app: str, options: WorkerOptions) -> None:
    from ferryman.worker.supervisor import run

    sys.exit(run(app, options))


class RunningWorker:
    """A supervisor that was started, and all that it has started."""

    def __init__(self, process: Forked, log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    def processes(self) -> list[psutil.Process]:
        """Its worker processes."""
        try:
            return psutil.Process(self.pid).children()
        except psutil.Error:
            return []

    def tree(self) -> list[psutil.Process]:
        """It, and all below it."""
        own = psutil.Process(self.pid)
        return [own, *own.children(recursive=True)]

    def terminate(self) -> None:
        """SIGTERM to the supervisor."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 20.0) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def kill_tree(self) -> None:
        """SIGKILL to everything at once, unless it has gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in self.tree():
                with contextlib.suppress(psutil.Error):
                    process.kill()


class Rig:
    """A store, an application to enqueue with, and workers for it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.journal = folder / "journal"
        self.app = Ferryman(**msgspec.structs.asdict(settings))
        self._workers = 0

    def enqueue(
        self, task: str, *args: Any, queue: str = "default", **options: Any
    ) -> JobHandle[Any]:
        """Enqueue a job of the test's application by its name."""
        return self.app.named(task, queue=queue).using(**options).enqueue(*args)

    def lines(self, word: str, *job_ids: str) -> list[Line]:
        """The lines of the journal with this word, of these jobs or all."""
        if not self.journal.exists():
            return []
        split = (line.split() for line in self.journal.read_text().splitlines())
        lines = [Line(word, job_id, int(pid), float(at)) for word, job_id, pid, at in split]
        return [
            line for line in lines if line.word == word and (not job_ids or line.job_id in job_ids)
        ]

    def pids(self) -> list[psutil.Process]:
        """The programs that a job has started and written down."""
        path = Path(f"{self.journal}.pids")
        text = until(lambda: path.exists() and path.read_text())
        return [psutil.Process(int(pid)) for pid in str(text).split()]

    def environment(self) -> Mapping[str, str]:
        """What a process needs to work on this store."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FERRYMAN_")}
        environment["JOURNAL"] = str(self.journal)
        # Compiled once and not by each process: an installed program is, too.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for name, value in msgspec.structs.asdict(self.settings).items():
            if value is not None and value != ():
                given = ",".join(value) if name == "allow" else str(value)
                environment[f"FERRYMAN_{name.upper()}"] = given
        return environment

    @contextlib.contextmanager
    def worker(
        self, app: str = APP, *, cwd: Path = ROOT, **options: Any
    ) -> Iterator[RunningWorker]:
        """Start a worker with these options; whatever is left of it at the end is killed."""
        self._workers += 1
        given = {"name": f"w{self._workers}", "grace": 5, "cancel_grace": 0.5} | options
        log = self.folder / f"{given['name']}.log"
        log.touch()
        arguments = (app, msgspec.convert(given, WorkerOptions))
        process = Forked(
            _supervise, *arguments, cwd=cwd, env=self.environment(), stdout=log, stderr=log
        )
        worker = RunningWorker(process, log)
        try:
            yield worker
        except BaseException:
            print(worker.log)  # noqa: T201 - shown with a test that failed
            raise
        finally:
            if process.poll() is None:
                worker.kill_tree()
            process.wait()

    def until_live(self, processes: int = 1) -> None:
        """Return once so many worker processes hold a lease."""
        until(lambda: sum(status.live for status in self.app.workers.list()) >= processes)
