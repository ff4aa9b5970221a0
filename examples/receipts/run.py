"""One run of the demo: what is enqueued, what happens to it meanwhile, and what came of it."""

import contextlib
import math
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from examples.receipts.fleet import Fleet
from examples.receipts.ledger import Entry, Ledger
from ferryman import Ferryman, Job, JobEvent, JobState, Reason

TASK, QUEUE = "read_receipt", "receipts"
TICK = 0.05
"""Seconds between two looks."""
LAST_CHANCE = 4
"""So few receipts left that any of them is killed: on a crowded machine no look comes in time."""


@dataclass
class Order:
    """A receipt to be read: its job's id, its picture, its priority."""

    id: str
    path: Path
    high: bool
    late: bool = False

    @property
    def priority(self) -> str:
        return "high" if self.high else "normal"

    def hide(self) -> None:
        """Take the picture away, as if its upload were not finished yet."""
        self.late = True
        self.path.rename(self.path.with_suffix(".part"))

    def arrive(self) -> None:
        """Finish the upload."""
        with contextlib.suppress(FileNotFoundError):
            self.path.with_suffix(".part").rename(self.path)


@dataclass
class Kill:
    """What was killed, and when (seconds since the epoch)."""

    what: str
    at: float


def _quickest(log: list[Entry]) -> float:
    """The seconds that the quickest reading so far took."""
    began = {(entry.receipt, entry.token): entry.at for entry in log if entry.what == "began"}
    stored = [entry for entry in log if entry.what == "stored"]
    return min((entry.at - began[entry.receipt, entry.token] for entry in stored), default=0.0)


@dataclass
class Run:
    """The demo's doings, from the first enqueue to the last ending."""

    app: Ferryman
    ledger: Ledger
    orders: list[Order]
    kill: Literal["child", "worker"] | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    events: dict[str, list[JobEvent]] = field(default_factory=dict)
    duplicate_created: bool | None = None
    killed: Kill | None = None
    seconds: float = 0.0
    left_behind: int = 0

    def enqueue(self) -> None:
        """Enqueue all orders by the task's name, and the first of them once more."""
        task = self.app.named(TASK, queue=QUEUE)
        for order in self.orders:
            one = task.using(id=order.id, priority=order.priority)
            one.enqueue(order.id, str(order.path))
        first = self.orders[0]
        again = task.using(id=first.id).enqueue(first.id, str(first.path))
        self.duplicate_created = again.created

    def watch(self, fleet: Fleet, deadline: float) -> None:
        """Look on until every job has ended, and play the part of fate meanwhile.

        Raises:
            TimeoutError: they have not ended within `deadline` seconds.
        """
        began = time.monotonic()
        while not self.ended:
            self.seconds = time.monotonic() - began
            if self.seconds > deadline:
                raise TimeoutError(f"not all receipts were read within {deadline:.0f} s")
            fleet.look()
            self.jobs = {job.id: job.record for job in self.app.jobs.list(queue=QUEUE, limit=500)}
            self._deliver_what_is_late()
            if self.kill and not self.killed and self.count(JobState.SUCCEEDED) >= 4:
                self._kill(fleet)
            time.sleep(TICK)

    def take_down(self) -> None:
        """Note all that happened to each job, in order."""
        for order in self.orders:
            events = self.app.jobs.get(order.id).events()
            self.events[order.id] = [event for event in events if event.kind == "state"]

    @property
    def ended(self) -> bool:
        """Whether every order's job has come to an end."""
        return len(self.jobs) >= len(self.orders) and all(
            job.state.terminal for job in self.jobs.values()
        )

    def count(self, state: JobState) -> int:
        """How many jobs are in `state`."""
        return sum(job.state is state for job in self.jobs.values())

    def _deliver_what_is_late(self) -> None:
        for order in self.orders:
            if order.late and order.id in self.jobs and self.jobs[order.id].attempts:
                order.arrive()

    def _kill(self, fleet: Fleet) -> None:
        """SIGKILL in the middle of a receipt: one that has just begun, while there is a choice."""
        log = self.ledger.log()
        last = {entry.pid: entry for entry in log}
        begun = [entry for entry in last.values() if entry.what == "began"]
        left = sum(not job.state.terminal for job in self.jobs.values())
        recent = _quickest(log) / 2 if left > LAST_CHANCE else math.inf
        if not begun or time.time() - begun[-1].at > recent:
            return
        if self.kill == "child":
            self._kill_child(begun[-1])
        else:
            self.killed = Kill("worker with all of its processes", time.time())
            fleet.kill()
            fleet.start()

    def _kill_child(self, begun: Entry) -> None:
        """Kill a child, unless it came to an end with its receipt just now."""
        os.kill(begun.pid, signal.SIGSTOP)
        latest = [entry for entry in self.ledger.log() if entry.pid == begun.pid][-1]
        if latest != begun:
            os.kill(begun.pid, signal.SIGCONT)
            return
        self.killed = Kill(f"child process {begun.pid}", time.time())
        os.kill(begun.pid, signal.SIGKILL)

    # -- what came of it -------------------------------------------------------------------

    def victims(self) -> list[str]:
        """The jobs that lost their process in the kill."""
        return [id for id in self.events if self._after_kill(id, Reason.LEASE_LOST) is not None]

    def back_after(self, reason: Reason) -> float:
        """Seconds from the kill until this had happened to every victim."""
        return max(self._after_kill(id, reason) or math.inf for id in self.victims())

    def _after_kill(self, id: str, reason: Reason) -> float | None:
        moments = [event.at.timestamp() for event in self.events[id] if event.reason is reason]
        killed = self.killed.at if self.killed else math.inf
        return next((moment - killed for moment in moments if moment > killed), None)

    def read_again_after(self) -> float:
        """Seconds from the kill until every victim was being read again."""
        assert self.killed is not None  # noqa: S101 - narrows the type
        began = [e for e in self.ledger.log() if e.what == "began" and e.at > self.killed.at]
        firsts = [min(e.at for e in began if e.receipt == id) for id in self.victims()]
        return max(firsts) - self.killed.at

    def stored(self) -> Counter[str]:
        """How many times each receipt was stored."""
        return Counter(entry.receipt for entry in self.ledger.log() if entry.what == "stored")

    def first_claims(self, *, high: bool) -> list[datetime]:
        """When each job of that priority was first claimed."""
        return [
            next(event.at for event in self.events[order.id] if event.reason is Reason.CLAIMED)
            for order in self.orders
            if order.high is high
        ]
