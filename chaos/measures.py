"""Measures: how soon a system went on after a fault, and how often something came to pass.

The checker says whether a history is good; these are the figures that it shows besides.
"""

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from chaos.checker import TERMINAL
from chaos.history import Start
from chaos.lives import NEVER, SECOND, Happening, Life, Lives, Running

Samples = dict[str, list[float]]
"""Seconds, by the name of the fault."""


class Measures(msgspec.Struct, kw_only=True):
    """The figures of a history.

    Attributes:
        handed_back: until the worker of an interrupted delivery had given its job back.
        resumed: from the healing of a fault of a server until a worker process, each of those
            that worked before, began a job again.
        noticed: from the beginning of such a fault until a worker process had a call that failed;
            as long as the fault where it had none.
        zombies: deliveries that were stopped, and whose jobs began elsewhere meanwhile.
        zombie_writes: what those tried to write after that.
        leases_lost: deliveries that were taken away because their lease was over.
        rates: completions in a second of each phase, by its name.
    """

    handed_back: Samples = {}
    resumed: Samples = {}
    noticed: Samples = {}
    zombies: int = 0
    zombie_writes: int = 0
    leases_lost: int = 0
    rates: dict[str, list[float]] = {}


PHASE = "phase "
"""Begins the mark of a phase; one without a name ends it."""


def measure(lives: Lives) -> Measures:
    """The figures of what was gathered."""
    processes = _Processes(lives)
    running = Running(lives)
    measures = Measures(rates=_rates(lives), leases_lost=_leases_lost(lives))
    for one in lives.happenings:
        if one.name == "lag":
            continue
        if one.targets:
            _of_processes(lives, one, running, measures)
        else:
            _add(measures.resumed, one, processes.resumed(one))
            _add(measures.noticed, one, processes.noticed(one))
    return measures


def _add(samples: Samples, one: Happening, found: Iterator[float]) -> None:
    seconds = [round(value, 3) for value in found]
    if seconds:
        samples.setdefault(one.name, []).extend(seconds)


class _Processes:
    """What single worker processes did, and when."""

    def __init__(self, lives: Lives) -> None:
        self._starts: defaultdict[int, list[int]] = defaultdict(list)
        self._troubles: defaultdict[int, list[int]] = defaultdict(list)
        self._parents: dict[int, int] = {}
        workers = {pid for role, pid in lives.actors if role == "process"}
        for life in lives.jobs.values():
            for start in life.starts:
                if start.pid in workers:
                    self._starts[start.pid].append(start.t)
                    self._parents[start.pid] = start.parent
        for pid, trouble in lives.troubles:
            self._troubles[pid].append(trouble.t)
        for moments in (*self._starts.values(), *self._troubles.values()):
            moments.sort()
        struck: defaultdict[int, list[int]] = defaultdict(list)
        for one in lives.happenings:
            for pid in one.targets:
                struck[pid].append(one.begun)
        self._struck = struck
        self._end = lives.drained.t if lives.drained is not None else NEVER

    def _at_work(self, one: Happening) -> Iterator[int]:
        """Those that worked before a fault and after it, for no other struck them."""
        for pid, starts in self._starts.items():
            recent = bisect.bisect_left(starts, one.begun - 2 * SECOND)
            worked = recent < len(starts) and starts[recent] < one.begun
            if worked and not any(at >= one.begun - 2 * SECOND for at in self._struck[pid]):
                yield pid

    def resumed(self, one: Happening) -> Iterator[float]:
        """Until each began a job again; until the end for one that never did."""
        if one.healed == NEVER:
            return
        for pid in self._at_work(one):
            starts = self._starts[pid]
            at = bisect.bisect_right(starts, one.healed)
            yield ((starts[at] if at < len(starts) else self._end) - one.healed) / SECOND

    def noticed(self, one: Happening) -> Iterator[float]:
        """Until each had a call that failed, or its supervisor, which ends it if it must."""
        for pid in self._at_work(one):
            first = min(self._trouble(pid, one.begun), self._trouble(self._parents[pid], one.begun))
            yield (min(first, one.healed) - one.begun) / SECOND

    def _trouble(self, pid: int, after: int) -> int:
        troubles = self._troubles[pid]
        at = bisect.bisect_right(troubles, after)
        return troubles[at] if at < len(troubles) else NEVER


def _of_processes(lives: Lives, one: Happening, running: Running, into: Measures) -> None:
    for start in running.on(one.targets, one.begun):
        life = lives.jobs[start.job]
        given = [
            told.given
            for told in life.told
            if told.token == start.token and told.verdict == "applied" and told.state == "queued"
        ]
        if given:
            seconds = round((min(given) - one.begun) / SECOND, 3)
            into.handed_back.setdefault(one.name, []).append(seconds)
        elsewhere = _elsewhere(life, start)
        if "stopped" in one.name and elsewhere < one.healed:
            into.zombies += 1
            into.zombie_writes += _wrote(life, start.token, elsewhere)


def _elsewhere(life: Life, start: Start) -> int:
    """When its job began again under a higher token."""
    return min((other.t for other in life.starts if other.token > start.token), default=NEVER)


def _wrote(life: Life, token: int, after: int) -> int:
    """Writes that a delivery tried, to its store and to the sink outside."""
    told = sum(one.token == token and one.asked >= after for one in (*life.told, *life.reports))
    return told + sum(one.token == token and one.t >= after for one in life.effects)


def _leases_lost(lives: Lives) -> int:
    """Deliveries that were taken away, and not given back by their worker."""
    lost = 0
    for life in lives.jobs.values():
        if life.kept is not None and len(life.kept.changes) > 3:
            own = {one.token for one in life.told if one.verdict == "applied"}
            lost += sum(
                source == "running" and reason == "lease_lost" and token not in own
                for source, _, reason, token, _ in life.kept.changes
            )
    return lost


def _rates(lives: Lives) -> dict[str, list[float]]:
    marks = sorted((mark.t, mark.what) for mark in lives.marks if mark.what.startswith(PHASE))
    if not marks:
        return {}
    ends = sorted(
        told.given
        for life in lives.jobs.values()
        for told in life.told
        if told.verdict == "applied" and told.state in TERMINAL
    )
    rates: dict[str, list[float]] = {}
    for (begun, what), (ended, _) in itertools.pairwise(marks):
        if name := what.removeprefix(PHASE):
            done = bisect.bisect_left(ends, ended) - bisect.bisect_left(ends, begun)
            rates.setdefault(name, []).append(round(done * SECOND / (ended - begun), 1))
    return rates
