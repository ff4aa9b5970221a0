"""The checker catches each anomaly that is planted in a history."""

from pathlib import Path

import pytest
from chaos.checker import KINDS, check
from chaos.history import SQLITE, Lag, Recorder, Start
from chaos.synthetic import Clock, good, write

from tests.chaos.story import LEASE, RAN, Story, Tell, asked_to_wait, change, judged

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


@pytest.mark.parametrize(
    ("kind", "what", "tell"), PLANTED, ids=[f"{k}: {w}" for k, w, _ in PLANTED]
)
def test_a_planted_anomaly_is_caught(kind: str, what: str, tell: Tell, tmp_path: Path) -> None:
    told = tell(Story())
    judgement = judged(tmp_path, told.drain().lines)
    assert kind in judgement.anomalies, judgement


def test_every_kind_is_planted() -> None:
    assert {kind for kind, _, _ in PLANTED} | {"drain", "lane"} == set(KINDS)


def test_a_system_that_does_not_come_to_rest_is_caught(tmp_path: Path) -> None:
    assert judged(tmp_path, Story().drain(ok=False).lines).anomalies == {"drain": 1}


def test_a_history_without_an_end_is_caught(tmp_path: Path) -> None:
    assert judged(tmp_path, Story().enqueue().done().keep().lines).anomalies == {"drain": 1}


def test_a_lane_that_disagrees_is_caught(tmp_path: Path) -> None:
    assert judged(tmp_path, Story().drain(lane="3 ids").lines).anomalies == {"lane": 1}


def test_what_a_power_failure_took_is_tolerated_where_that_was_said(tmp_path: Path) -> None:
    told = Story().enqueue().fault("store", forgets=1.0).drain()
    judgement = judged(tmp_path, told.lines, power=False)
    assert judgement.good
    assert judgement.tolerated == {"lost": 1}
    assert judged(tmp_path / "..", [], power=True).anomalies  # nothing there at all


def test_what_was_acknowledged_long_before_a_power_failure_is_not_tolerated(tmp_path: Path) -> None:
    told = Story().enqueue().wait(2).fault("store", forgets=1.0).drain()
    assert judged(tmp_path, told.lines, power=False).anomalies == {"lost": 1}


def test_exposures_and_the_time_until_a_job_ran_again_are_told(tmp_path: Path) -> None:
    told = Story().enqueue().start().fault("process", (7,), charges=True).wait(1).done(2).keep(2)
    told.enqueue("other").start(job="other", pid=8).leave(job="other").keep(job="other").drain()
    judgement = judged(tmp_path, told.lines)
    assert judgement.exposures == {"f": 1}
    [seconds] = judgement.again["f"]
    assert 1.0 < seconds < 1.1


def test_a_line_that_was_cut_short_was_never_written(tmp_path: Path) -> None:
    told = Story().enqueue().done().keep().drain()
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
