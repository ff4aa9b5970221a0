"""What the benchmarks stand on: a store, workers as processes, and a journal that jobs write."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
from tests import servers

from benchmarks.bench import SYNCED
from ferryman import Ferryman
from ferryman.settings import Settings
from ferryman.worker.options import WorkerOptions

STORES: Final = ("sqlite", "postgresql", "valkey")

_PROGRAM: Final = """
import sys, msgspec
from ferryman.worker.options import WorkerOptions
from ferryman.worker.supervisor import run
sys.exit(run(sys.argv[1], msgspec.json.decode(sys.argv[2], type=WorkerOptions)))
"""


@contextlib.contextmanager
def store(kind: str, **settings: Any) -> Iterator["Stage"]:
    """A stage on an empty store of this kind."""
    folder = Path(tempfile.mkdtemp(prefix="ferryman-benchmark-"))
    try:
        with _server(kind, folder) as where:
            stage = Stage(Settings(**where, **settings), folder)
            yield stage
            stage.app.close()
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _server(kind: str, folder: Path) -> Iterator[dict[str, Any]]:
    match kind:
        case "sqlite":
            yield _migrated(f"sqlite:///{folder / 'jobs.db'}")
        case "postgresql":
            with servers.postgresql(**SYNCED) as url:
                yield _migrated(url.format(database="postgres"))
        case _:
            with servers.valkey() as url:
                yield {"valkey_url": url}


def _migrated(url: str) -> dict[str, Any]:
    from ferryman.stores.sql.migrations import upgrade

    upgrade(url)
    return {"database_url": url}


def until(condition: Callable[[], Any], timeout: float = 120.0) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s")
        time.sleep(0.01)
    return value


class Worker:
    """A supervisor that was started."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def processes(self) -> dict[int, psutil.Process]:
        """Its worker processes, by their ids."""
        return {child.pid: child for child in psutil.Process(self._process.pid).children()}

    def terminate(self) -> int:
        """Stop it gracefully; returns its exit code."""
        self._process.terminate()
        return self._process.wait(60)

    def wait(self) -> int:
        """Its exit code, once it leaves by itself."""
        return self._process.wait(600)

    def kill_tree(self) -> None:
        """SIGKILL to all of it at once."""
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self._process.pid)
            for process in [own, *own.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)


class Stage:
    """A store, an application to enqueue with, and workers for it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.app = Ferryman(**msgspec.structs.asdict(settings))
        self._folder = folder
        self._journal = folder / "journal"

    def enqueue(self, task: str, *calls: tuple[Any, ...]) -> set[str]:
        """Enqueue a job for each call; returns their ids."""
        return {job.id for job in self.app.named(task).enqueue_many(calls)}

    def lines(self, word: str) -> dict[str, list[tuple[int, float]]]:
        """By job: the process and the moment of each line with this word."""
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        if self._journal.exists():
            for line in self._journal.read_text().splitlines():
                said, job_id, pid, at = line.split()
                if said == word:
                    found[job_id].append((int(pid), float(at)))
        return found

    def started(self, jobs: set[str], times: int) -> bool:
        """Whether each of `jobs` has started so many times."""
        lines = self.lines("start")
        return all(len(lines[job]) >= times for job in jobs)

    @contextlib.contextmanager
    def worker(self, **options: Any) -> Iterator[Worker]:
        """A worker with these options; killed at the end if it is still there."""
        given = {"name": "bench", "log_level": "error", "grace": 1} | options
        arguments = msgspec.json.encode(msgspec.convert(given, WorkerOptions)).decode()
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, "benchmarks.jobs:app", arguments],
            env=self._environment(),
            cwd=Path(__file__).parents[1],
        )
        worker = Worker(process)
        try:
            yield worker
        finally:
            if process.poll() is None:
                worker.kill_tree()
            process.wait()

    def until_live(self, processes: int) -> None:
        """Return once so many worker processes hold a lease."""
        until(lambda: sum(one.live for one in self.app.workers.list()) >= processes)

    def _environment(self) -> dict[str, str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FERRYMAN_")}
        environment["JOURNAL"] = str(self._journal)
        # Compiled once and not by each process: an installed program is, too.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for name, value in msgspec.structs.asdict(self.settings).items():
            if value not in (None, ()):
                environment[f"FERRYMAN_{name.upper()}"] = str(value)
        return environment
