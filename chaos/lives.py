"""Lives: what a history tells, gathered by job; and the faults that it happened among."""

import bisect
import gc
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from chaos import history
from chaos.history import (
    SQLITE,
    AnyLine,
    Drained,
    Effect,
    Enqueue,
    Enqueued,
    Fault,
    Healed,
    Kept,
    Lag,
    Leave,
    Mark,
    Renewed,
    Start,
    Steer,
    Steered,
    Trouble,
    Write,
    Written,
)

SECOND: Final = 1_000_000_000
NEVER: Final = 1 << 62


class Told(NamedTuple):
    """A verdict on an ending: its token and next state, when it was asked for and given."""

    token: int
    state: str
    verdict: str
    asked: int
    given: int


class Life:
    """All that is known of one job. Moments are in nanoseconds, 0 where there is none.

    Attributes:
        asked: the first call to enqueue it began.
        acked: the first that succeeded was answered.
        refused: a call ended, and it surely did not take effect.
        unknown: a call ended, or was cut short, and nobody knows whether it took effect.
        given: another job was given back instead, which holds its unique key.
        steered: (verb, verdict, asked, given) of cancellations and retries that may have worked.
    """

    __slots__ = (
        "acked",
        "asked",
        "delay",
        "effects",
        "expires",
        "given",
        "kept",
        "leaves",
        "refused",
        "reports",
        "starts",
        "steered",
        "told",
        "unique",
        "unknown",
    )

    def __init__(self) -> None:
        self.asked = 0
        self.acked = 0
        self.refused = 0
        self.unknown = False
        self.given = ""
        self.unique: str | None = None
        self.delay = 0.0
        self.expires = 0.0
        self.starts: list[Start] = []
        self.leaves: list[Leave] = []
        self.effects: list[Effect] = []
        self.told: list[Told] = []
        self.reports: tuple[Told, ...] = ()
        self.steered: tuple[tuple[str, str, int, int], ...] = ()
        self.kept: Kept | None = None


class Happening(NamedTuple):
    """A fault from its beginning to its end, with the lag of the machine as one of a kind.

    `healed` is when it was over, `ended` when the leases that it may have cost were, too.
    """

    name: str
    scope: history.Scope
    targets: frozenset[int]
    charges: bool
    begun: int
    healed: int
    ended: int
    forgets: float


class Lives:
    """The jobs of a history, and what happened around them.

    Args:
        slack: nanoseconds after a fault of the store, or a lag of the machine, in which leases
            may still end because of it.
    """

    def __init__(self, slack: int) -> None:
        self.jobs: defaultdict[str, Life] = defaultdict(Life)
        self.happenings: list[Happening] = []
        self.troubles: list[tuple[int, Trouble]] = []
        """Calls that failed, with the process that made them."""
        self.actors: set[tuple[str, int]] = set()
        """The role and the process of each that wrote a file."""
        self.marks: list[Mark] = []
        self.lags: list[Lag] = []
        self.renewed: dict[str, int] = {}
        """When the last renewal of a worker's lease that succeeded had begun."""
        self.drained: Drained | None = None
        self.lines = 0
        self._slack = slack
        self._open: dict[tuple[str, int], Any] = {}
        self._file = ""
        self._actor = 0
        self._takers: dict[type[Any], Callable[[Any], None]] = {
            Enqueue: self._keep,
            Enqueued: self._enqueued,
            Steer: self._keep,
            Steered: self._steered,
            Start: lambda line: self.jobs[line.job].starts.append(line),
            Leave: lambda line: self.jobs[line.job].leaves.append(line),
            Effect: lambda line: self.jobs[line.job].effects.append(line),
            Write: self._keep,
            Written: self._written,
            Renewed: self._renewed,
            Trouble: lambda line: self.troubles.append((self._actor, line)),
            Fault: self._keep,
            Healed: self._healed,
            Lag: self.lags.append,
            Mark: self.marks.append,
            Kept: self._kept,
            Drained: self._drained,
        }

    @classmethod
    def of(cls, folder: Path, slack: float) -> "Lives":
        """Read the history in a folder; `slack` is in seconds."""
        lives = cls(int(slack * SECOND))
        gc.disable()  # millions of objects that all stay
        try:
            for name, lines in history.read(folder):
                lives.take(name, lines)
            lives.complete()
        finally:
            gc.enable()
        return lives

    def take(self, file: str, lines: Iterable[AnyLine]) -> None:
        """Take some lines of a file in."""
        self._file = file
        role, pid, _ = file.rsplit("-", 2)
        self._actor = int(pid)
        self.actors.add((role, self._actor))
        takers = self._takers
        for line in lines:
            self.lines += 1
            takers[type(line)](line)

    def complete(self) -> None:
        """All was taken in: calls that have no end were cut short, faults last to the end."""
        for line in self._open.values():
            match line:
                case Enqueue():
                    for life in self._asked(line):
                        life.unknown = True
                case Fault():
                    self._happened(line, NEVER)
                case Steer():
                    self._steers(line, "info", NEVER)
                case Write():
                    self._tell(line, ("unknown",) * len(line.of), NEVER)
                case _:
                    pass
        self._open.clear()
        self._lagged()
        for life in self.jobs.values():
            if len(life.starts) > 1:
                life.starts.sort(key=lambda line: line.t)
        self.happenings.sort(key=lambda one: one.begun)

    # -- calls, from their first line to their second ---------------------------------------------

    def _keep(self, line: Any) -> None:
        self._open[self._file, line.number] = line

    def _asked(self, line: Enqueue) -> list[Life]:
        lives = [self.jobs[job] for job in line.ids]
        for life in lives:
            if not life.asked or line.t < life.asked:
                life.asked = line.t
            if line.unique is not None:
                life.unique = line.unique
            life.delay, life.expires = line.delay, line.expires
        return lives

    def _enqueued(self, line: Enqueued) -> None:
        for life in self._asked(self._open.pop((self._file, line.number))):
            match line.how:
                case "info":
                    life.unknown = True
                case "fail":
                    life.refused = line.t
                    life.given = line.holder or ""
                case "ok":
                    life.given = line.holder or ""
                    if line.holder is None and not 0 < life.acked < line.t:
                        life.acked = line.t

    def _steered(self, line: Steered) -> None:
        steer = self._open.pop((self._file, line.number))
        if line.how != "fail":
            self._steers(steer, line.verdict if line.how == "ok" else "info", line.t)

    def _steers(self, line: Steer, verdict: str, given: int) -> None:
        self.jobs[line.job].steered += ((line.verb, verdict, line.t, given),)

    def _written(self, line: Written) -> None:
        self._tell(self._open.pop((self._file, line.number)), line.verdicts, line.t)

    def _tell(self, write: Write, verdicts: Iterable[str], given: int) -> None:
        jobs, asked, endings = self.jobs, write.t, write.what == "finish"
        for (job, token, state), verdict in zip(write.of, verdicts, strict=True):
            told = Told(token, state, verdict, asked, given)
            if endings:
                jobs[job].told.append(told)
            else:
                jobs[job].reports += (told,)

    def _renewed(self, line: Renewed) -> None:
        self.renewed[line.worker] = max(line.began, self.renewed.get(line.worker, 0))

    # -- faults -----------------------------------------------------------------------------------

    def _healed(self, line: Healed) -> None:
        self._happened(self._open.pop((self._file, line.number)), line.t)

    def _happened(self, fault: Fault, ended: int) -> None:
        slack = self._slack if fault.scope == "store" else 0
        self.happenings.append(
            Happening(
                fault.name,
                fault.scope,
                frozenset(fault.targets),
                fault.charges,
                fault.t,
                ended,
                min(NEVER, ended + slack),
                fault.forgets,
            )
        )

    def _lagged(self) -> None:
        """The lags of the machine, as happenings: not those of what was stopped on purpose.

        For how long a lock of SQLite is held is Ferryman's own affair, unless who held it was
        stopped.
        """
        for lag in self.lags:
            begun = lag.t - int(lag.seconds * SECOND)
            during = [one for one in self.happenings if one.begun <= lag.t and begun <= one.ended]
            stopped = any(lag.pid in one.targets for one in during)
            own = lag.who == SQLITE and not any(one.scope == "process" for one in during)
            if not stopped and not own:
                ended = lag.t + self._slack
                lagged = Happening("lag", "store", frozenset(), True, begun, lag.t, ended, 0.0)
                self.happenings.append(lagged)

    # -- the end ----------------------------------------------------------------------------------

    def _kept(self, line: Kept) -> None:
        self.jobs[line.job].kept = line

    def _drained(self, line: Drained) -> None:
        self.drained = line


class Running:
    """Which deliveries ran at a moment: all of them, and those of a process.

    One that was cut short runs until the job starts again: so long the store takes it to run.
    """

    def __init__(self, lives: Lives) -> None:
        targets = {pid for one in lives.happenings for pid in one.targets}
        starts, ends = array("q"), array("q")
        self._of_process: defaultdict[int, list[tuple[int, int, Start]]] = defaultdict(list)
        for life in lives.jobs.values():
            left = {leave.token: leave.t for leave in life.leaves}
            again = iter(life.starts[1:])
            for start in life.starts:
                following = next(again, None)
                cut = following.t if following else NEVER
                end = left.get(start.token, cut)
                starts.append(start.t)
                ends.append(end)
                for pid in {start.pid, start.parent} & targets:
                    self._of_process[pid].append((start.t, end, start))
        self._starts, self._ends = sorted(starts), sorted(ends)

    def at(self, moment: int) -> int:
        """How many of all."""
        started = bisect.bisect_right(self._starts, moment)
        return started - bisect.bisect_right(self._ends, moment)

    def on(self, targets: Iterable[int], moment: int) -> list[Start]:
        """Those in these processes."""
        found = {
            (start.job, start.token): start
            for pid in targets
            for begun, ended, start in self._of_process[pid]
            if begun <= moment < ended
        }
        return list(found.values())
