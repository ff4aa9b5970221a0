"""Fault lines: which faults may have interrupted a delivery, or made a store forget one."""

import bisect
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from chaos.history import Start
from chaos.lives import SECOND, Happening, Life

ALL: Final = -1.0
"""What a fault forgets that makes the store lose everything."""

RESUMED: Final = SECOND // 2
"""After a process that was stopped goes on, it begins what it had claimed before, within this. One
that was killed begins nothing any more."""


class Stretches:
    """Stretches of time, of which those that touch are one."""

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        self._begins: list[int] = []
        self._ends: list[int] = []
        for begin, end in sorted(stretches):
            if self._ends and begin <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def touch(self, first: int, last: int) -> bool:
        """Whether one of them overlaps the time between two moments."""
        at = bisect.bisect_right(self._begins, last) - 1
        return at >= 0 and self._ends[at] >= first


class Faultlines:
    """The happenings of a history, to be asked about single deliveries."""

    def __init__(self, happenings: Iterable[Happening]) -> None:
        store: list[tuple[int, int]] = []
        processes: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        forgotten: list[tuple[int, int]] = []
        charges: list[int] = []
        for one in happenings:
            if one.scope == "store":
                store.append((one.begun, one.ended))
            for pid in one.targets if one.scope == "process" else ():
                processes[pid].append((one.begun, one.ended))
            if one.forgets:
                since = 0 if one.forgets == ALL else one.begun - int(one.forgets * SECOND)
                forgotten.append((since, one.ended))
            if one.charges:
                charges.append(one.ended)
        self._store = Stretches(store)
        self._processes = {pid: Stretches(found) for pid, found in processes.items()}
        self._forgotten = Stretches(forgotten)
        self._charges = sorted(charges)

    def explains(self, before: Start, again: int) -> bool:
        """Whether a fault may have ended a delivery before its job started again.

        It may even have begun after that, if what was to run it had been stopped.
        """
        again = max(before.t, again)
        for pid in (before.pid, before.parent):
            struck = self._processes.get(pid)
            if struck is not None and struck.touch(before.t - RESUMED, again):
                return True
        return self._store.touch(before.t, again)

    def outage(self, moment: int) -> bool:
        """Whether the store may have been out of reach at this moment."""
        return self._store.touch(moment, moment)

    def charges(self, life: Life) -> int:
        """How many faults may have charged this job a kill; it need not have started yet."""
        return len(self._charges) - bisect.bisect_left(self._charges, life.asked)

    def forgotten(self, first: int, last: int) -> bool:
        """Whether the store may have lost something that was written between two moments."""
        return self._forgotten.touch(first, last)
