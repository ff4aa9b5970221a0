"""One run of the demo: what is enqueued, what happens to it meanwhile, and what came of it."""

import contextlib
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
TICK = 0.1
"""Seconds between two looks."""


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
    """What was killed and when (seconds since the epoch), and who was at work in it."""

    what: str
    at: float
    victims: list[Entry]


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
        self.events = {order.id: self.app.jobs.get(order.id).events() for order in self.orders}

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
        """SIGKILL in the middle of a receipt: the one that began last."""
        at_work = self._at_work()
        if not at_work or time.time() - at_work[-1].at > 0.3:
            return
        if self.kill == "child":
            self.killed = Kill(f"child {at_work[-1].pid}", time.time(), at_work[-1:])
            os.kill(at_work[-1].pid, signal.SIGKILL)
        else:
            self.killed = Kill("worker and all its processes", time.time(), at_work)
            fleet.kill()
            fleet.start()

    def _at_work(self) -> list[Entry]:
        """The deliveries that have begun and not stored anything, oldest first."""
        begun = {}
        for entry in self.ledger.log():
            if entry.what == "began":
                begun[entry.receipt] = entry
            elif begun.get(entry.receipt, entry).token == entry.token:
                begun.pop(entry.receipt, None)
        return [entry for entry in begun.values() if self._running(entry.receipt)]

    def _running(self, job_id: str) -> bool:
        return job_id in self.jobs and self.jobs[job_id].state is JobState.RUNNING

    # -- what came of it -------------------------------------------------------------------

    def back_after(self, reason: Reason) -> float | None:
        """Seconds from the kill until this had happened to every victim."""
        if self.killed is None:
            return None
        return max(
            next(
                event.at.timestamp()
                for event in self.events[victim.receipt]
                if event.reason is reason and event.at.timestamp() > self.killed.at
            )
            - self.killed.at
            for victim in self.killed.victims
        )

    def read_again(self) -> float | None:
        """Seconds from the kill until every victim was being read again."""
        if self.killed is None:
            return None
        log = self.ledger.log()
        return max(
            next(e.at for e in log if e.receipt == victim.receipt and e.token > victim.token)
            - self.killed.at
            for victim in self.killed.victims
        )

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
