"""Histories that are told line by line, so that one line of them may be wrong."""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from chaos.checker import Judgement, check
from chaos.history import (
    Change,
    Drained,
    Effect,
    Enqueue,
    Enqueued,
    Fault,
    Healed,
    Leave,
    Line,
    Renewed,
    Start,
    Steer,
    Steered,
    Write,
    Written,
)
from chaos.synthetic import Clock, ended, kept, write

SECOND = 1_000_000_000

replace = msgspec.structs.replace


class Story:
    """A history that is told line by line; a test plants its anomaly among the good ones."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[Line] = []

    def tell(self, *lines: Line | Iterable[Line]) -> "Story":
        for line in lines:
            self.lines += [line] if isinstance(line, Line) else line
        return self

    def wait(self, seconds: float) -> "Story":
        self.clock.t += int(seconds * SECOND)
        return self

    def enqueue(self, job: str = "j", how: str | None = "ok", **more: object) -> "Story":
        number = self.clock()
        asked = {"t": number, "number": number, "ids": (job,)}
        asked |= {name: more[name] for name in ("unique", "delay", "expires") if name in more}
        self.tell(msgspec.convert(asked, Enqueue))
        if how is not None:
            answer = {"t": self.clock(), "number": number, "how": how, "holder": more.get("holder")}
            self.tell(msgspec.convert(answer, Enqueued))
        return self

    def start(self, token: int = 1, job: str = "j", pid: int = 7) -> "Story":
        line = Start(t=self.clock(), job=job, token=token, attempt=1, pid=pid, parent=1)
        return self.tell(line)

    def leave(
        self, how: str = "done", token: int = 1, job: str = "j", wait: float = 0.0
    ) -> "Story":
        line = {"t": self.clock(), "job": job, "token": token, "how": how, "wait": wait}
        return self.tell(msgspec.convert(line, Leave))

    def effect(self, token: int = 1, *, taken: bool = True) -> "Story":
        return self.tell(Effect(t=self.clock(), job="j", token=token, taken=taken))

    def finish(
        self,
        token: int = 1,
        verdict: str | None = "applied",
        state: str = "succeeded",
        job: str = "j",
    ) -> "Story":
        number = self.clock()
        of = ((job, token, state),)
        self.tell(Write(t=number, number=number, what="finish", of=of))
        if verdict is None:
            return self
        return self.tell(Written(t=self.clock(), number=number, verdicts=(verdict,)))

    def fail_and_retry(self) -> "Story":
        """It fails, and is retried by hand before its worker is told that this was taken in."""
        number = self.clock()
        self.tell(Write(t=number, number=number, what="finish", of=(("j", 1, "failed"),)))
        self.steer("retry")
        return self.tell(Written(t=self.clock(), number=number, verdicts=("applied",)))

    def progress(self, token: int, verdict: str = "applied") -> "Story":
        number = self.clock()
        self.tell(Write(t=number, number=number, what="progress", of=(("j", token, ""),)))
        return self.tell(Written(t=self.clock(), number=number, verdicts=(verdict,)))

    def steer(self, verb: str, verdict: str = "applied") -> "Story":
        number = self.clock()
        line = {"t": number, "number": number, "verb": verb, "job": "j"}
        self.tell(msgspec.convert(line, Steer))
        return self.tell(Steered(t=self.clock(), number=number, how="ok", verdict=verdict))

    def fault(self, scope: str, targets: tuple[int, ...] = (), **more: object) -> "Story":
        number = self.clock()
        line = {"t": number, "number": number, "name": "f", "scope": scope, "targets": targets}
        self.tell(msgspec.convert(line | more, Fault))
        return self.tell(Healed(t=self.clock(), number=number))

    def keep(self, claims: int = 1, job: str = "j", **changed: object) -> "Story":
        return self.tell(replace(kept(job, self.clock, claims), **changed))

    def done(self, token: int = 1, job: str = "j") -> "Story":
        self.tell(ended(job, token, self.clock))
        return self.finish(token, job=job)

    def renew(self, worker: str = "w") -> "Story":
        return self.tell(Renewed(t=self.clock(), worker=worker, began=self.clock()))

    def poison(self, deaths: int) -> "Story":
        """A job that kills its process so many times, and is called poison then."""
        self.enqueue()
        for token in range(1, deaths + 1):
            self.start(token).leave("kill", token).fault("process", (7,), charges=True)
        return self.keep(
            state="failed", reason="worker_lost", kills=deaths, changes=(), result=None
        )

    def drain(self, *, ok: bool = True, lane: str = "") -> "Story":
        return self.tell(Drained(t=self.clock(), ok=ok, error="" if ok else "stuck", lane=lane))


LEASE = 2.0


def judged(folder: Path, lines: Iterable[Line], **options: bool) -> Judgement:
    """What the checker says of a history with these lines."""
    write(folder, lines)
    return check(folder, lease=LEASE, **options)


Tell = Callable[[Story], Story]


def asked_to_wait(told: Story) -> Story:
    """A job that is not to run again for a second, as its ending says, which is written."""
    return told.enqueue().start().leave("again", wait=1.0).finish(state="scheduled")


def change(source: str, target: str, token: int, reason: str = "x") -> Change:
    """A change of a job's state, as the store tells it."""
    return source, target, reason, token, None


RAN = (
    change("", "queued", 0),
    change("queued", "running", 1),
    change("running", "succeeded", 1),
)
