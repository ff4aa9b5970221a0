"""The checker catches each anomaly that is planted in a history, and nothing in a good one."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from chaos.checker import KINDS, Judgement, check
from chaos.history import SQLITE, Change, Lag, Line, Recorder, Start
from chaos.synthetic import Clock, good, write

from tests.chaos.story import Story

LEASE = 2.0


def judged(folder: Path, lines: Iterable[Line], **options: bool) -> Judgement:
    write(folder, lines)
    return check(folder, lease=LEASE, **options)


def story() -> Story:
    return Story()


Tell = Callable[[Story], Story]


def asked_to_wait(told: Story) -> Story:
    """A job that is not to run again for a second, as its ending says, which is written."""
    return told.enqueue().start().leave("again", wait=1.0).finish(state="scheduled")


def change(source: str, target: str, token: int, reason: str = "x") -> Change:
    return source, target, reason, token, None


RAN = (
    change("", "queued", 0),
    change("queued", "running", 1),
    change("running", "succeeded", 1),
)

PLANTED: list[tuple[str, str, Tell]] = [
    (
        "revived",
        "after the job ran elsewhere",
        lambda s: s.enqueue().start().fault("process", (7,), charges=True).done(2).renew().keep(2),
    ),
    ("lost", "no record", lambda s: s.enqueue()),
    ("lost", "never ended", lambda s: s.enqueue().start().keep(state="running", changes=())),
    ("lost", "never ran", lambda s: s.enqueue().keep()),
    ("lost", "cut short", lambda s: s.enqueue().start().keep()),
    ("lost", "failed", lambda s: s.enqueue().start().keep(state="failed", changes=())),
    ("lost", "cancelled", lambda s: s.enqueue().keep(state="cancelled", changes=())),
    (
        "lost",
        "expired, and never could",
        lambda s: s.enqueue().keep(state="failed", reason="expired", changes=(), result=None),
    ),
    (
        "lost",
        "called poison after two deaths",
        lambda s: (
            s.enqueue()
            .start()
            .fault("process", (7,), charges=True)
            .fault("process", (7,), charges=True)
            .keep(state="failed", reason="worker_lost", changes=(), kills=2)
        ),
    ),
    (
        "lost",
        "not answered, and stuck",
        lambda s: s.enqueue(how="info").keep(state="queued", changes=()),
    ),
    ("unexpected", "ran", lambda s: s.done()),
    ("unexpected", "kept", lambda s: s.keep()),
    ("phantom", "ran", lambda s: s.enqueue(how="fail").start()),
    ("phantom", "kept", lambda s: s.enqueue(how="fail").keep()),
    ("unexplained", "no fault", lambda s: s.enqueue().start().done(2).keep(2, kills=0)),
    (
        "unexplained",
        "an older delivery began late, and nothing had stopped it",
        lambda s: (
            s.enqueue().fault("process", (8,)).start(2, pid=8).start(1).done(2).keep(2, kills=0)
        ),
    ),
    (
        "unexplained",
        "the fault was elsewhere",
        lambda s: s.enqueue().start().fault("process", (8,)).done(2).keep(2, kills=0),
    ),
    (
        "unexplained",
        "the fault was before it",
        lambda s: s.enqueue().fault("process", (7,)).wait(1).start().done(2).keep(2, kills=0),
    ),
    (
        "unexplained",
        "the fault was long ago",
        lambda s: s.enqueue().fault("store").wait(9).start().done(2).keep(2, kills=0),
    ),
    (
        "unexplained",
        "the fault does not interrupt",
        lambda s: s.enqueue().start().fault("none").done(2).keep(2, kills=0),
    ),
    (
        "unexplained",
        "only what was stopped stood still",
        lambda s: (
            s.enqueue()
            .start()
            .fault("none", (5,))
            .tell(Lag(t=s.clock(), who="x", pid=5, seconds=1))
            .done(2)
            .keep(2, kills=0)
        ),
    ),
    (
        "unexplained",
        "the lock was held, and nobody was stopped",
        lambda s: (
            s.enqueue()
            .start()
            .tell(Lag(t=s.clock(), who=SQLITE, pid=5, seconds=0.001))
            .done(2)
            .keep(2)
        ),
    ),
    ("overlap", "two runs", lambda s: s.enqueue().start(pid=8).done().keep()),
    (
        "overlap",
        "after a fault too",
        lambda s: s.enqueue().start().fault("process", (7,)).done().keep(),
    ),
    (
        "stale",
        "an ending",
        lambda s: (
            s.enqueue().start().fault("store").start(2).finish(1).leave(token=2).keep(2, kills=0)
        ),
    ),
    (
        "stale",
        "a report",
        lambda s: (
            s.enqueue().start().fault("store").start(2).progress(1).leave(token=2).keep(2, kills=0)
        ),
    ),
    ("stale", "a result", lambda s: s.enqueue().start().leave().keep(result=0)),
    ("effects", "one token twice", lambda s: s.enqueue().effect().done().keep()),
    (
        "effects",
        "after the end",
        lambda s: s.enqueue().done().fault("store").start(2).effect(2).keep(),
    ),
    (
        "terminal",
        "two endings",
        lambda s: s.enqueue().start().fault("store").done(2).finish(1).keep(2, kills=0),
    ),
    (
        "terminal",
        "its events",
        lambda s: s.enqueue().done().keep(changes=(*RAN, change("succeeded", "failed", 1))),
    ),
    (
        "transition",
        "not legal",
        lambda s: s.enqueue().done().keep(changes=(RAN[0], change("queued", "succeeded", 1))),
    ),
    ("transition", "a gap", lambda s: s.enqueue().done().keep(changes=(RAN[0], RAN[2]))),
    ("transition", "claims", lambda s: s.enqueue().done().keep(deliveries=2)),
    ("transition", "no first state", lambda s: s.enqueue().done().keep(changes=RAN[1:])),
    (
        "tokens",
        "one token claimed twice",
        lambda s: (
            s.enqueue()
            .start()
            .fault("process", (7,))
            .done(2)
            .keep(
                deliveries=2,
                changes=(
                    *RAN[:2],
                    change("running", "queued", 1),
                    change("queued", "running", 1),
                    change("running", "succeeded", 1),
                ),
            )
        ),
    ),
    ("charged", "an attempt", lambda s: s.enqueue().done().keep(attempts=1)),
    ("charged", "a kill", lambda s: s.enqueue().done().keep(kills=1)),
    (
        "charged",
        "for a stop",
        lambda s: s.enqueue().start().fault("process", (7,)).done(2).keep(2, kills=1),
    ),
    ("restless", "four deaths", lambda s: s.poison(4)),
    (
        "restless",
        "four deaths, long after an outage",
        lambda s: s.fault("store").wait(2 * LEASE + 1).poison(4),
    ),
    ("early", "too early", lambda s: s.enqueue(delay=1.0).wait(0.9).done().keep()),
    ("early", "too early again", lambda s: asked_to_wait(s).wait(0.5).done(2).keep(2, kills=0)),
    ("late", "expired", lambda s: s.enqueue(expires=1.0).wait(2.1).done().keep()),
    (
        "cancelled",
        "it ran",
        lambda s: (
            s.enqueue().steer("cancel").start().keep(state="cancelled", changes=(), result=None)
        ),
    ),
    (
        "unique",
        "held by an ended one",
        lambda s: (
            s.enqueue("a", unique="k")
            .done(job="a")
            .enqueue("j", "fail", unique="k", holder="a")
            .keep(job="a")
        ),
    ),
    (
        "unique",
        "given back an ended one",
        lambda s: (
            s.enqueue("a", unique="k")
            .done(job="a")
            .enqueue("j", "ok", unique="k", holder="a")
            .keep(job="a")
        ),
    ),
    (
        "unique",
        "two at once",
        lambda s: (
            s.enqueue("a", unique="k")
            .enqueue("b", unique="k")
            .done(job="a")
            .done(job="b")
            .keep(job="a")
            .keep(job="b")
        ),
    ),
]

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
            .keep(
                2,
                kills=0,
                changes=(
                    *RAN[:2],
                    change("running", "failed", 1),
                    change("failed", "queued", 1, "retried"),
                    change("queued", "running", 2),
                    change("running", "succeeded", 2),
                ),
            )
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
            .keep(
                2,
                kills=0,
                changes=(
                    *RAN[:2],
                    change("running", "failed", 1),
                    change("failed", "queued", 1, "retried"),
                    change("queued", "running", 2),
                    change("running", "succeeded", 2),
                ),
            )
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


@pytest.mark.parametrize(
    ("kind", "what", "tell"), PLANTED, ids=[f"{k}: {w}" for k, w, _ in PLANTED]
)
def test_a_planted_anomaly_is_caught(kind: str, what: str, tell: Tell, tmp_path: Path) -> None:
    told = tell(story())
    judgement = judged(tmp_path, told.drain().lines)
    assert kind in judgement.anomalies, judgement


@pytest.mark.parametrize(("what", "tell"), FINE, ids=[what for what, _ in FINE])
def test_what_may_happen_is_no_anomaly(what: str, tell: Tell, tmp_path: Path) -> None:
    told = tell(story())
    judgement = judged(tmp_path, told.drain().lines)
    assert judgement.good, judgement.examples


def test_every_kind_is_planted() -> None:
    assert {kind for kind, _, _ in PLANTED} | {"drain", "lane"} == set(KINDS)


def test_a_system_that_does_not_come_to_rest_is_caught(tmp_path: Path) -> None:
    assert judged(tmp_path, story().drain(ok=False).lines).anomalies == {"drain": 1}


def test_a_history_without_an_end_is_caught(tmp_path: Path) -> None:
    assert judged(tmp_path, story().enqueue().done().keep().lines).anomalies == {"drain": 1}


def test_a_lane_that_disagrees_is_caught(tmp_path: Path) -> None:
    assert judged(tmp_path, story().drain(lane="3 ids").lines).anomalies == {"lane": 1}


def test_what_a_power_failure_took_is_tolerated_where_that_was_said(tmp_path: Path) -> None:
    told = story().enqueue().fault("store", forgets=1.0).drain()
    judgement = judged(tmp_path, told.lines, power=False)
    assert judgement.good
    assert judgement.tolerated == {"lost": 1}
    assert judged(tmp_path / "..", [], power=True).anomalies  # nothing there at all


def test_what_was_acknowledged_long_before_a_power_failure_is_not_tolerated(tmp_path: Path) -> None:
    told = story().enqueue().wait(2).fault("store", forgets=1.0).drain()
    assert judged(tmp_path, told.lines, power=False).anomalies == {"lost": 1}


def test_exposures_and_the_time_until_a_job_ran_again_are_told(tmp_path: Path) -> None:
    told = story().enqueue().start().fault("process", (7,), charges=True).wait(1).done(2).keep(2)
    told.enqueue("other").start(job="other", pid=8).leave(job="other").keep(job="other").drain()
    judgement = judged(tmp_path, told.lines)
    assert judgement.exposures == {"f": 1}
    [seconds] = judgement.again["f"]
    assert 1.0 < seconds < 1.1


def test_a_line_that_was_cut_short_was_never_written(tmp_path: Path) -> None:
    told = story().enqueue().done().keep().drain()
    write(tmp_path, told.lines)
    recorder = Recorder(tmp_path, "killed")
    recorder.add(Start(t=told.clock(), job="j", token=1, attempt=1, pid=7, parent=1))
    recorder.close()
    [path] = tmp_path.glob("killed-*")
    path.write_bytes(path.read_bytes()[:-3])
    assert check(tmp_path, lease=LEASE).good


def test_a_long_history_is_judged(tmp_path: Path) -> None:
    judgement = judged(tmp_path, good(3000, Clock()))
    assert judgement.good, judgement.examples
    assert judgement.counts["explained duplicates"] == 3
    assert judgement.faults["sigkill"] == judgement.exposures["sigkill"] == 3
