"""The checker finds nothing in what may happen, however odd it looks."""

from pathlib import Path

import pytest
from chaos.history import SQLITE, Lag

from tests.chaos.story import LEASE, RAN, Story, Tell, asked_to_wait, change, judged

RETRIED = (
    *RAN[:2],
    change("running", "failed", 1),
    change("failed", "queued", 1, "retried"),
    change("queued", "running", 2),
    change("running", "succeeded", 2),
)

FINE: list[tuple[str, Tell]] = [
    (
        "a lease is renewed until its jobs are taken away",
        lambda s: s.enqueue().start().renew().fault("process", (7,), charges=True).done(2).keep(2),
    ),
    (
        "a worker whose child died goes on",
        lambda s: (
            s.enqueue()
            .start()
            .fault("process", (7,), charges=True)
            .finish(1, state="queued")
            .done(2)
            .renew()
            .keep(2)
        ),
    ),
    ("plain", lambda s: s.enqueue().done().keep()),
    ("unknown, and it never came", lambda s: s.enqueue(how="info")),
    ("unknown, and it was done", lambda s: s.enqueue(how=None).done().keep()),
    ("refused", lambda s: s.enqueue(how="fail")),
    ("refused, then taken", lambda s: s.enqueue(how="fail").enqueue().done().keep()),
    (
        "killed",
        lambda s: s.enqueue().start().fault("process", (7,), charges=True).done(2).keep(2),
    ),
    (
        "claimed before its process was stopped, begun when that went on",
        lambda s: s.enqueue().fault("process", (7,)).start().done(2).keep(2, kills=0),
    ),
    (
        "begun by a process that went on after others had begun it again",
        lambda s: (
            s.enqueue()
            .start(2, pid=8)
            .fault("process", (7,))
            .start(1)
            .leave(token=2)
            .finish(2)
            .keep(2, kills=0)
        ),
    ),
    (
        "cancelled while it was to wait, and retried by hand",
        lambda s: s.enqueue(delay=5.0).steer("cancel").steer("retry").done().keep(changes=()),
    ),
    (
        "an ending that is repeated, since its answer was lost, after the job has started again",
        lambda s: (
            s.enqueue()
            .start()
            .leave("error", wait=0.2)
            .finish(1, None, state="scheduled")
            .wait(0.2)
            .start(2)
            .finish(1, state="scheduled")
            .leave(token=2)
            .finish(2)
            .keep(2, kills=0, changes=())
        ),
    ),
    (
        "a fourth death, where an outage kept the others from being told",
        lambda s: s.fault("store").poison(4),
    ),
    (
        "in a child that was killed with its parent",
        lambda s: s.enqueue().start().fault("process", (1,), charges=True).done(2).keep(2),
    ),
    (
        "a lease that ended soon after an outage",
        lambda s: (
            s.enqueue().start().fault("store", charges=True).wait(2 * LEASE - 0.1).done(2).keep(2)
        ),
    ),
    (
        "the machine stood still",
        lambda s: (
            s.enqueue().start().tell(Lag(t=s.clock(), who="x", pid=1, seconds=1)).done(2).keep(2)
        ),
    ),
    (
        "another was stopped, and held the lock",
        lambda s: (
            s.enqueue()
            .start()
            .fault("process", (8,), charges=True)
            .tell(Lag(t=s.clock(), who=SQLITE, pid=5, seconds=1))
            .done(2)
            .keep(2)
        ),
    ),
    (
        "a late ending that was refused",
        lambda s: s.enqueue().start().fault("store").done(2).finish(1, "stale").keep(2, kills=0),
    ),
    (
        "an ending whose reply was lost",
        lambda s: (
            s.enqueue()
            .start()
            .leave("error")
            .finish(1, state="queued")
            .start(2)
            .finish(1, state="queued")
            .leave(token=2)
            .effect(2)
            .finish(2)
            .keep(2, kills=0, attempts=1)
        ),
    ),
    ("poison", lambda s: s.poison(3)),
    (
        "failed, and retried by hand",
        lambda s: (
            s.enqueue()
            .start()
            .leave("fail")
            .finish(state="failed")
            .steer("retry")
            .done(2)
            .keep(2, kills=0, changes=RETRIED)
        ),
    ),
    (
        "retried by hand before its worker knew that it had failed",
        lambda s: (
            s.enqueue()
            .start()
            .leave("fail")
            .fail_and_retry()
            .done(2)
            .keep(2, kills=0, changes=RETRIED)
        ),
    ),
    (
        "cancelled",
        lambda s: s.enqueue().steer("cancel").keep(state="cancelled", changes=(), result=None),
    ),
    ("delayed", lambda s: s.enqueue(delay=1.0).wait(1).done().keep()),
    ("it waited as it wanted", lambda s: asked_to_wait(s).wait(1).done(2).keep(2, kills=0)),
    (
        "it was to wait, and that was never written",
        lambda s: (
            s.enqueue()
            .start()
            .leave("again", wait=1.0)
            .fault("process", (7,), charges=True)
            .done(2)
            .keep(2)
        ),
    ),
    ("it started in time", lambda s: s.enqueue(expires=1.0).wait(0.5).done().keep()),
    (
        "it expired",
        lambda s: s.enqueue(expires=1.0).keep(
            state="failed", reason="expired", changes=(), result=None
        ),
    ),
    (
        "one after the other",
        lambda s: (
            s.enqueue("a", unique="k")
            .done(job="a")
            .enqueue("b", unique="k")
            .done(job="b")
            .keep(job="a")
            .keep(job="b")
        ),
    ),
    (
        "refused by a live one",
        lambda s: (
            s.enqueue("a", unique="k")
            .enqueue("b", "fail", unique="k", holder="a")
            .done(job="a")
            .keep(job="a")
        ),
    ),
]


@pytest.mark.parametrize(("what", "tell"), FINE, ids=[what for what, _ in FINE])
def test_what_may_happen_is_no_anomaly(what: str, tell: Tell, tmp_path: Path) -> None:
    told = tell(Story())
    judgement = judged(tmp_path, told.drain().lines)
    assert judgement.good, judgement.examples
