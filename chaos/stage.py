"""The stage of a run: servers, proxies, the sink, workers, producers, and the runner's history."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

import msgspec

from chaos import actor
from chaos.failpoints import SEEN
from chaos.history import Fault, Healed, Mark, Recorder, Scope, now
from chaos.plan import Plan
from chaos.proxy import Proxy
from chaos.pulse import Pulse
from chaos.servers import Postgresql, Valkey, start, until
from chaos.trees import APP, ROOT, Tree
from chaos.worker import LAG
from ferryman.settings import Settings
from ferryman.worker.options import WorkerOptions


class Deployment(NamedTuple):
    """What keeps the jobs, and whether a lane hands them out."""

    name: str
    database: Literal["sqlite", "postgresql"] | None
    valkey: bool

    @property
    def lane(self) -> bool:
        """Whether Valkey is the lane of a database."""
        return self.valkey and self.database is not None


DEPLOYMENTS: Final = {
    one.name: one
    for one in (
        Deployment("valkey", None, True),
        Deployment("sqlite", "sqlite", False),
        Deployment("postgresql", "postgresql", False),
        Deployment("hybrid-sqlite", "sqlite", True),
        Deployment("hybrid-postgresql", "postgresql", True),
    )
}


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage is set up.

    Attributes:
        lease, sweep, timeout: the settings of the stores, in seconds.
        trees, processes, concurrency: of workers.
        grace: that a worker's jobs have at a stop, in seconds.
        proxied: whether clients reach the servers through proxies.
        disk: bytes of a small disk for the servers' files; `None` is: what the machine has.
        environment: further variables of all actors; `{folder}` in them is the stage's.
    """

    lease: float = 3.0
    sweep: float = 0.3
    timeout: float = 5.0
    trees: int = 2
    processes: int = 1
    concurrency: int = 16
    grace: float = 1.0
    proxied: bool = False
    disk: int | None = None
    environment: dict[str, str] = {}


class Stage:
    """All that takes part in one run. A context; on its end everything is ended."""

    def __init__(self, deployment: Deployment, setup: Setup, seed: int) -> None:
        self.deployment = deployment
        self.setup = setup
        self.random = random.Random(seed)
        self.seed = seed
        memory = Path("/dev/shm")  # noqa: S108 - of all places the one that no other load slows down
        self.folder = Path(
            tempfile.mkdtemp(prefix="ferryman-chaos-", dir=memory if memory.is_dir() else None)
        )
        self.history = self.folder / "history"
        self.history.mkdir()
        self.points = self.folder / "points"
        (self.points / SEEN).mkdir(parents=True)
        self.recorder = Recorder(self.history, "runner")
        self.trees: list[Tree] = []
        self.producers: list[subprocess.Popen[bytes]] = []
        self._plans: list[tuple[subprocess.Popen[bytes], Plan]] = []
        self.valkey: Valkey | None = None
        self.postgresql: Postgresql | None = None
        self.link: Proxy | None = None
        self.base: Proxy | None = None
        self._named = 0
        self._ends = contextlib.ExitStack()
        self.settings = self.direct = Settings()

    # -- life ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _build(self) -> None:
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        disk = self._disk()
        direct: dict[str, Any] = {}
        if self.deployment.valkey:
            self.valkey = Valkey(disk / "valkey", durable=not self.deployment.lane)
            self._ends.callback(self.valkey.close)
            self.valkey.start()
            direct["valkey_url"] = self.valkey.url
        match self.deployment.database:
            case "postgresql":
                self.postgresql = Postgresql(disk / "postgresql")
                self._ends.callback(self.postgresql.close)
                self.postgresql.start()
                direct["database_url"] = self.postgresql.url
            case "sqlite":
                (disk / "sqlite").mkdir()
                direct["database_url"] = f"sqlite:///{disk / 'sqlite' / 'jobs.db'}"
            case None:
                pass
        self._settle(direct)
        if self.direct.database_url is not None:
            _migrate(self.direct.database_url)
        self._start_sink()
        pulse = Pulse(self.recorder, disk, self.direct, self.setup.lease / 4)
        self._ends.callback(pulse.close)
        self._ends.callback(self._end_actors)

    def _disk(self) -> Path:
        if self.setup.disk is None:
            return self.folder
        disk = self.folder / "disk"
        disk.mkdir()
        size = f"size={self.setup.disk}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=True)
        self._ends.callback(lambda: subprocess.run(["umount", "-l", disk], check=False))
        return disk

    def _settle(self, direct: dict[str, Any]) -> None:
        figures: dict[str, Any] = {
            "lease": self.setup.lease,
            "sweep": self.setup.sweep,
            "store_timeout": self.setup.timeout,
        }
        self.direct = Settings(**direct, **figures)
        through = dict(direct)
        if self.setup.proxied and self.valkey is not None:
            self.link = Proxy(self.valkey.port, self.seed)
            self._ends.callback(self.link.close)
            through["valkey_url"] = f"redis://127.0.0.1:{self.link.port}/0"
        if self.setup.proxied and self.postgresql is not None:
            self.base = Proxy(self.postgresql.port, self.seed)
            self._ends.callback(self.base.close)
            through["database_url"] = f"postgresql://postgres@127.0.0.1:{self.base.port}/postgres"
        self.settings = Settings(**through, **figures)

    def _start_sink(self) -> None:
        socket = self.folder / "sink"
        program = start(
            [sys.executable, "-m", "chaos.sink", str(socket)],
            self.folder / "sink.log",
            cwd=ROOT,
            env=self.environment(),
        )
        self._ends.callback(program.wait)
        self._ends.callback(program.kill)
        until(socket.exists, 30, "the sink answers")

    def _end_actors(self) -> None:
        for producer in self.producers:
            producer.kill()
            producer.wait()
        for tree in self.trees:
            tree.send(signal.SIGCONT, tree.all())
            tree.kill()

    def environment(self, **more: str) -> dict[str, str]:
        """What an actor of this run needs to know."""
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("FERRYMAN_", "PYTHONDONT"))
        }
        kept[actor.HISTORY] = str(self.history)
        kept[actor.SINK] = str(self.folder / "sink")
        kept[LAG] = str(self.setup.lease / 4)
        for name, value in msgspec.structs.asdict(self.settings).items():
            if value is not None and value != ():
                kept[f"FERRYMAN_{name.upper()}"] = str(value)
        here = str(self.folder)
        kept |= {k: v.replace("{folder}", here) for k, v in self.setup.environment.items()}
        return kept | more

    # -- actors ----------------------------------------------------------------------------------

    def start_tree(self, app: str = APP, **environment: str) -> Tree:
        """Start a worker."""
        self._named += 1
        options = WorkerOptions(
            name=f"w{self._named}",
            processes=self.setup.processes,
            concurrency=self.setup.concurrency,
            grace=self.setup.grace,
            cancel_grace=0.5,
            log_level="info",
        )
        tree = Tree(options, self.environment(**environment), self.folder, app)
        self.trees.append(tree)
        return tree

    def start_trees(self) -> None:
        """Start the workers of the set-up, and wait until they work."""
        for _ in range(self.setup.trees):
            self.start_tree()
        for tree in self.trees:
            tree.until_working()

    def replace(self, tree: Tree) -> None:
        """Start another worker like one that has ended, unless that was done before."""
        if tree in self.trees:
            self.trees.remove(tree)
            self.start_tree(tree.app)

    def keep_trees(self) -> None:
        """Replace workers that have ended."""
        for tree in [tree for tree in self.trees if not tree.lives]:
            self.replace(tree)

    def everyone(self) -> list[int]:
        """All processes of all workers."""
        return [pid for tree in self.trees for pid in tree.all()]

    def some_tree(self) -> Tree:
        """A worker, chosen by the seed."""
        return self.random.choice([tree for tree in self.trees if tree.lives])

    def produce(self, plan: Plan, **environment: str) -> subprocess.Popen[bytes]:
        """Start a producer."""
        self._named += 1
        named = msgspec.structs.replace(
            plan, name=f"{plan.name}{self._named}", seed=self.random.getrandbits(32)
        )
        producer = start(
            [sys.executable, "-m", "chaos.producer", msgspec.json.encode(named).decode()],
            self.folder / f"producer{self._named}.log",
            cwd=ROOT,
            env=self.environment(**environment),
        )
        self.producers.append(producer)
        self._plans.append((producer, plan))
        return producer

    def keep_producers(self) -> None:
        """Replace producers that have ended, which goes on under another name."""
        for producer, plan in [pair for pair in self._plans if pair[0].poll() is not None]:
            self._plans.remove((producer, plan))
            self.producers.remove(producer)
            self.produce(plan)

    def points_seen(self) -> list[str]:
        """The fail points that a process has come past."""
        return sorted(one.name for one in (self.points / SEEN).iterdir())

    def until_flowing(self) -> None:
        """Wait until jobs run."""
        until(
            lambda: any(
                b'"start"' in one.read_bytes()
                for role in ("process", "child")
                for one in self.history.glob(f"{role}-*")
            ),
            60,
            "jobs run",
        )

    def stop_producers(self, limit: float = 180.0) -> None:
        """Have the producers come to an end.

        Raises:
            TimeoutError: one of them does not.
        """
        for producer in self.producers:
            producer.send_signal(signal.SIGTERM)
        until(lambda: all(one.poll() is not None for one in self.producers), limit, "producers end")
        self.producers.clear()

    # -- servers ---------------------------------------------------------------------------------

    def use_valkey(self, server: Valkey) -> None:
        """Another server takes the place of the one that was."""
        self._ends.callback(server.close)
        self.valkey = server
        self.direct = msgspec.structs.replace(self.direct, valkey_url=server.url)

    def revive_servers(self) -> None:
        """Start the servers that gave up."""
        for server in (self.valkey, self.postgresql):
            if server is not None and not server.runs:
                server.start()

    # -- the history -----------------------------------------------------------------------------

    def mark(self, what: str) -> None:
        """Note that the run came to this stage."""
        self.recorder.add(Mark(t=now(), what=what))

    @contextlib.contextmanager
    def fault(
        self,
        name: str,
        scope: Scope,
        targets: Iterable[int] = (),
        *,
        charges: bool = False,
        forgets: float = 0.0,
    ) -> Iterator[None]:
        """Write down a fault, as long as this lasts."""
        number = self.recorder.number()
        self.recorder.add(
            Fault(
                t=now(),
                number=number,
                name=name,
                scope=scope,
                targets=tuple(targets),
                charges=charges,
                forgets=forgets,
            )
        )
        try:
            yield
        finally:
            self.recorder.add(Healed(t=now(), number=number))

    def wait(self, seconds: float) -> None:
        """Let the run go on."""
        time.sleep(seconds)


def _migrate(url: str) -> None:
    from ferryman.stores.sql.migrations import upgrade

    upgrade(url)
