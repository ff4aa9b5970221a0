"""The contest: the same producer, jobs, faults and checker for one system after the other."""

import contextlib
import datetime
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import msgspec
import psutil
from benchmarks.environments import REQUIREMENTS, interpreter
from benchmarks.systems import ALL, System

from chaos import results
from chaos.checker import Judgement, judge
from chaos.history import Drained, Fault, Healed, Kept, Recorder, Scope, now
from chaos.lives import Life, Lives
from chaos.servers import Postgresql, Server, Valkey, start, until
from chaos.trees import ROOT

KEPT: Final = results.KEPT / "peers"
RATE: Final = 12.0
"""Jobs in a second."""
KILLS: Final = 10
BETWEEN: Final = 2.0
RESTARTS: Final = 3
REST: Final = 100.0
"""Seconds that lost jobs are waited for: all default lapses of a minute are over by then."""
CALM: Final = 5.0
BACKLOG: Final = 3.0
"""Seconds of jobs that wait when all is flushed."""


class Entry(NamedTuple):
    """A system in one of its settings.

    Attributes:
        peer: its file; `system` is what it is to `benchmarks.environments`.
        workers: that run at a time.
    """

    peer: str
    servers: tuple[str, ...] = ("valkey",)
    safest: bool = False
    workers: int = 3
    label: str = ""

    @property
    def name(self) -> str:
        """As the table calls it."""
        return f"{self.label or self.peer}{', safest' if self.safest else ''}"


ENTRIES: Final = {
    entry.name: entry
    for entry in (
        Entry("ferryman", ("valkey", "postgresql"), label="ferryman-hybrid"),
        Entry("ferryman", ("postgresql",), label="ferryman-postgresql"),
        Entry("ferryman", label="ferryman-valkey"),
        Entry("rq", workers=9),
        Entry("rq", workers=9, safest=True),
        Entry("arq"),
        Entry("arq", safest=True),
        Entry("celery"),
        Entry("celery", safest=True),
        Entry("dramatiq"),
        Entry("dramatiq", safest=True),
        Entry("saq"),
        Entry("saq", safest=True),
        Entry("taskiq"),
        Entry("taskiq", safest=True),
        Entry("procrastinate", ("postgresql",)),
        Entry("procrastinate", ("postgresql",), safest=True),
    )
}


class Part(msgspec.Struct, kw_only=True):
    """What one kind of fault came to.

    Attributes:
        exposed: deliveries in flight on what was struck.
        lost: acknowledged, and not done when the wait was over.
        started_again, done_twice: jobs that began, or had their effect, more than once.
        again: seconds from a kill until an interrupted job ran again.
    """

    jobs: int
    exposed: int
    lost: int
    started_again: int
    done_twice: int
    again: list[float]


class Result(msgspec.Struct, kw_only=True):
    """What a system came to, by the kind of fault; and where and when that was."""

    name: str
    version: str
    settings: str
    parts: dict[str, Part]
    machine: str
    commit: str
    began: str

    def told(self) -> str:
        """It in a line."""
        said = (
            f"{kind}: {part.lost} lost of {part.jobs} ({part.exposed} exposed), "
            f"{part.done_twice} done twice, {max(part.again, default=0):.1f} s"
            for kind, part in self.parts.items()
        )
        return f"{self.name:<24} {'; '.join(said)}"


class Contest:
    """One system on its servers. A context; on its end everything is ended."""

    def __init__(self, entry: Entry, seed: int) -> None:
        self.entry = entry
        self.random = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="ferryman-peers-"))
        self.history = self.folder / "history"
        self.history.mkdir()
        self.recorder = Recorder(self.history, "runner")
        self.python = str(interpreter(_system(entry)))
        self.environment = os.environ | {
            "CHAOS_HISTORY": str(self.history),
            "CHAOS_SINK": str(self.folder / "sink"),
            "CHAOS_SAFEST": "1" if entry.safest else "",
            "PYTHONPATH": str(ROOT),
        }
        self.servers: dict[str, Server] = {}
        self.workers: list[subprocess.Popen[bytes]] = []
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._build()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _build(self) -> None:
        if "valkey" in self.entry.servers:
            valkey = Valkey(self.folder / "valkey", durable=True)
            self.servers["valkey"], self.environment["CHAOS_VALKEY"] = valkey, valkey.url
        if "postgresql" in self.entry.servers:
            postgresql = Postgresql(self.folder / "postgresql")
            self.servers["postgresql"] = postgresql
            self.environment["CHAOS_DATABASE"] = postgresql.url
        for server in self.servers.values():
            self._ends.callback(server.close)
            server.start()
        sink = self._start([sys.executable, "-m", "chaos.sink", self.environment["CHAOS_SINK"]])
        self._ends.callback(_end, sink)
        self._program("prepare").wait()
        self._ends.callback(self._end_workers)
        self.workers = [self._program("work") for _ in range(self.entry.workers)]

    def _end_workers(self) -> None:
        for worker in self.workers:
            _end(worker)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        log = self.folder / "log"
        return start(command, log, cwd=ROOT, env=self.environment)

    def _program(self, *words: str) -> subprocess.Popen[bytes]:
        return self._start([self.python, "-m", "chaos.peers.program", self.entry.peer, *words])

    # -- what happens ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def producing(self, prefix: str) -> Iterator[None]:
        """With a producer, whose jobs begin with this."""
        producer = self._program("produce", prefix, str(RATE))
        try:
            until(lambda: self._wrote(b'"start"', f'"{prefix}-'.encode()), 90, "jobs run", 0.1)
            yield
        finally:
            producer.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                producer.wait(30)
            _end(producer)

    def wait(self, seconds: float) -> None:
        """Let it go on; a worker that ended is started again, as a service manager would."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.workers = [
                worker if worker.poll() is None else self._program("work")
                for worker in self.workers
            ]
            time.sleep(min(1.0, max(0.0, ends - time.monotonic())))

    def kill_workers(self) -> None:
        """SIGKILL of a third of the workers, with all below them; others take their place."""
        struck = self.random.sample(self.workers, max(1, len(self.workers) // 3))
        targets = [pid for worker in struck for pid in _tree(worker)]
        with self.fault("workers killed", "process", targets):
            for worker in struck:
                _end(worker)
        self.workers = [one for one in self.workers if one not in struck]
        self.workers += [self._program("work") for _ in struck]

    def restart(self) -> None:
        """SIGKILL of the server that keeps the jobs (an immediate stop), and a start."""
        for server in self.servers.values():
            with self.fault("server restarted", "store"):
                server.kill()
                time.sleep(0.3)
                server.start()

    def flush(self) -> None:
        """`FLUSHALL`, while some jobs wait: the workers are held up for a moment before."""
        valkey = self.servers["valkey"]
        assert isinstance(valkey, Valkey)  # noqa: S101 - it is entered with one
        held = [pid for worker in self.workers for pid in _tree(worker)]
        with self.fault("flushed", "store"):
            _send(held, signal.SIGSTOP)
            time.sleep(BACKLOG)
            valkey.command("FLUSHALL")
            _send(held, signal.SIGCONT)

    @contextlib.contextmanager
    def fault(self, name: str, scope: Scope, targets: list[int] | None = None) -> Iterator[None]:
        """Write down a fault, as long as this lasts."""
        number = self.recorder.number()
        fault = Fault(t=now(), number=number, name=name, scope=scope, targets=tuple(targets or ()))
        self.recorder.add(fault)
        yield
        self.recorder.add(Healed(t=now(), number=number))

    def rest(self, prefix: str) -> None:
        """Wait until all jobs of a part are done, or it is of no use to wait longer."""
        ends = time.monotonic() + REST
        while time.monotonic() < ends and not self._done(prefix):
            self.wait(2.0)

    def _done(self, prefix: str) -> bool:
        return all(
            _finished(life) for life in _part(Lives.of(self.history, 0), prefix).jobs.values()
        )

    def _wrote(self, *words: bytes) -> bool:
        return any(
            all(word in line for word in words)
            for path in self.history.glob("process-*")
            for line in path.read_bytes().splitlines()
        )


def judged(lives: Lives, prefix: str) -> Judgement:
    """What the checker says of the jobs whose ids begin so. What is kept of one is that it was
    done, for there is nothing that all systems tell of it."""
    lives = _part(lives, prefix)
    for job, life in lives.jobs.items():
        if life.leaves:
            life.kept = _kept(job, life)
    lives.drained = Drained(t=now(), ok=True)
    return judge(lives, events=False)


def _part(lives: Lives, prefix: str) -> Lives:
    """The jobs whose ids begin so, and all faults."""
    for job in [job for job in lives.jobs if not job.startswith(f"{prefix}-")]:
        del lives.jobs[job]
    return lives


def _finished(life: Life) -> bool:
    return bool(life.leaves) or not life.acked


def _kept(job: str, life: Life) -> Kept:
    return Kept(
        t=now(),
        job=job,
        state="succeeded",
        reason="",
        token=life.starts[-1].token if life.starts else 0,
        deliveries=len(life.starts),
        attempts=0,
        kills=0,
        result=None,
        reported=None,
        changes=(),
    )


def _system(entry: Entry) -> System:
    return ALL["ferryman-valkey" if entry.peer == "ferryman" else entry.peer]


def _tree(process: subprocess.Popen[bytes]) -> list[int]:
    with contextlib.suppress(psutil.Error):
        own = psutil.Process(process.pid)
        return [own.pid, *(child.pid for child in own.children(recursive=True))]
    return []


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _end(process: subprocess.Popen[bytes]) -> None:
    _send(_tree(process), signal.SIGKILL)
    process.wait()


def play(entry: Entry, seed: int) -> Result:
    """One system through all faults."""
    began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    parts: dict[str, Part] = {}
    with Contest(entry, seed) as contest:
        told = subprocess.run(
            [contest.python, "-m", "chaos.peers.program", entry.peer, "settings"],
            capture_output=True, text=True, cwd=ROOT, env=contest.environment,
        )  # fmt: skip
        with contest.producing("kill"):
            contest.wait(CALM)
            for _ in range(KILLS):
                contest.kill_workers()
                contest.wait(BETWEEN)
        contest.rest("kill")
        parts["workers killed"] = _of(_judged(contest, "kill"), "workers killed")
        with contest.producing("restart"):
            for _ in range(RESTARTS):
                contest.wait(CALM)
                contest.restart()
            contest.wait(CALM)
        contest.rest("restart")
        parts["server restarted"] = _of(_judged(contest, "restart"), "server restarted")
        if "valkey" in entry.servers:
            with contest.producing("flush"):
                contest.wait(CALM)
                contest.flush()
                contest.wait(CALM)
            contest.rest("flush")
            parts["FLUSHALL"] = _of(_judged(contest, "flush"), "flushed")
    return Result(
        name=entry.name,
        version=_version(entry),
        settings=told.stdout.strip(),
        parts=parts,
        machine=results.machine(),
        commit=results.commit(),
        began=began,
    )


def _judged(contest: Contest, prefix: str) -> Judgement:
    return judged(Lives.of(contest.history, slack=60.0), prefix)


def _of(judgement: Judgement, fault: str) -> Part:
    return Part(
        jobs=judgement.counts["acknowledged"],
        exposed=judgement.exposures[fault],
        lost=judgement.anomalies["lost"],
        started_again=judgement.counts["started again"],
        done_twice=judgement.counts["effects repeated"],
        again=sorted(judgement.again.get(fault, [])),
    )


def _version(entry: Entry) -> str:
    """As it is pinned; Ferryman's is that of this repository."""
    if entry.peer == "ferryman":
        return ""
    for line in (REQUIREMENTS / f"{entry.peer}.txt").read_text().splitlines():
        name, _, version = line.partition("==")
        if name == entry.peer:
            return version
    return ""


def save(result: Result) -> None:
    """Keep it in place of an older one."""
    results.save(result, KEPT / f"{result.name.replace(',', '')}.json")


def load(folder: Path = KEPT) -> list[Result]:
    """All that are kept, in the order of the entries."""
    found = results.load_all(folder, Result)
    return sorted(found, key=lambda one: list(ENTRIES).index(one.name))
