"""What is measured in a history, and how the results of several runs become a page."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from chaos.checker import judge
from chaos.figures import figures
from chaos.history import Change, Drained, Mark, Recorder, Start, Trouble
from chaos.lives import Lives
from chaos.measures import Measures, measure
from chaos.plants import runner as plants
from chaos.plants.runner import Trial, Verdict
from chaos.points import Point, Report
from chaos.report import Part, marks, parts, report, write
from chaos.results import Outcome, load
from chaos.synthetic import Clock

from chaos import actor, history, points
from tests.chaos.story import Story

PID = 7
LOST: tuple[Change, ...] = (
    ("", "queued", "submitted", 0, None),
    ("queued", "running", "claimed", 1, "w"),
    ("running", "queued", "lease_lost", 1, None),
    ("queued", "running", "claimed", 2, "v"),
    ("running", "succeeded", "returned", 2, "v"),
)


def gathered(*told: tuple[str, list[Any]]) -> Lives:
    """The lives of a history, by the file that its lines are in."""
    lives = Lives(slack=0)
    for file, lines in told:
        lives.take(file, lines)
    lives.complete()
    return lives


def outcome(lives: Lives, scenario: str = "quiet") -> Outcome:
    return Outcome(
        scenario=scenario,
        deployment="sqlite",
        seed=1,
        seconds=1.0,
        again="python -m chaos run quiet --on sqlite --seed 1",
        judgement=judge(lives),
        measures=measure(lives),
        machine="a machine",
        commit="abc",
        began="2026-01-01T00:00:00+00:00",
    )


def story() -> Story:
    return Story()


def started(clock: Clock, job: str) -> Start:
    return Start(t=clock(), job=job, token=1, attempt=1, pid=PID, parent=1)


def test_the_time_until_a_process_goes_on_is_from_the_healing() -> None:
    told = story()
    told.tell(started(told.clock, "a")).fault("store").wait(1.5).tell(started(told.clock, "b"))
    [seconds] = measure(gathered((f"process-{PID}-x", told.lines))).resumed["f"]
    assert 1.5 < seconds < 1.6


def test_a_process_that_never_goes_on_is_late_until_the_end() -> None:
    told = story()
    told.tell(started(told.clock, "a")).fault("store").wait(30).tell(
        Drained(t=told.clock(), ok=True)
    )
    [seconds] = measure(gathered((f"process-{PID}-x", told.lines))).resumed["f"]
    assert seconds > 30


def test_a_process_that_was_struck_itself_is_not_waited_for() -> None:
    told = story()
    told.tell(started(told.clock, "a")).fault("store").fault("process", (PID,)).wait(9)
    assert measure(gathered((f"process-{PID}-x", told.lines))).resumed == {}


@pytest.mark.parametrize("who", [f"process-{PID}-x", "supervisor-1-x"])
def test_a_fault_is_noticed_with_the_first_call_that_fails(who: str) -> None:
    told = story()
    told.tell(started(told.clock, "a"))
    told.fault("store")
    healed = told.lines.pop()
    trouble = Trouble(t=told.wait(2).clock(), verb="claim", began=0, error="x")
    told.wait(5).tell(msgspec.structs.replace(healed, t=told.clock()))
    lives = gathered((f"process-{PID}-x", told.lines), (who, [trouble]))
    [seconds] = measure(lives).noticed["f"]
    assert 2 < seconds < 2.1


def test_zombies_and_what_they_try_are_counted() -> None:
    told = story().enqueue().start()
    fault = {"name": "tree stopped", "charges": True}
    told.fault("process", (PID,), **fault)
    healed = told.lines.pop()
    told.wait(4).start(2, pid=8)
    told.tell(msgspec.structs.replace(healed, t=told.clock()))
    told.effect(1, taken=False).finish(1, "stale").leave(token=2).finish(2)
    told.keep(2, changes=LOST)
    measures = measure(gathered(("process-8-x", told.lines)))
    assert (measures.zombies, measures.zombie_writes, measures.leases_lost) == (1, 2, 1)


def test_a_job_that_its_worker_hands_back_has_lost_no_lease() -> None:
    told = story().enqueue().start().fault("process", (PID,), charges=True).wait(0.3)
    told.finish(1, state="queued").done(2).keep(2, changes=LOST)
    measures = measure(gathered(("process-8-x", told.lines)))
    assert measures.leases_lost == 0
    [seconds] = measures.handed_back["f"]
    assert 0.3 < seconds < 0.4


def test_completions_are_counted_by_phase() -> None:
    told = story().tell(Mark(t=0, what="phase normal"))
    for number in range(4):
        told.finish(job=f"j{number}")
    told.tell(Mark(t=2_000_000_000, what="phase "))
    assert measure(gathered(("process-8-x", told.lines))).rates == {"normal": [2.0]}


def test_results_are_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = outcome(gathered(("process-8-x", story().enqueue().done().keep().drain().lines)))
    kept.save()
    [found] = load()
    assert found == kept
    assert found.judgement.counts["nothing"] == 0


def test_what_is_wrong_clears_no_bar_and_is_on_the_page(tmp_path: Path) -> None:
    lost = outcome(gathered(("process-8-x", story().enqueue().drain().lines)))
    assert {one.what: one.clears for one in figures([lost])}["lost"] is False
    page = tmp_path / "page.md"
    page.write_text("before\n{}\nold\n{}\nafter\n".format(*marks("results")))
    write(Part(page, "results", report([lost], [])))
    text = page.read_text()
    assert "| lost | 1 | 0 | **no** |" in text
    assert "**lost 1** (`abc`)" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "\nold\n" not in text


def test_a_page_without_its_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="has no lines"):
        write(Part(page, "results", "text"))


def test_what_the_harness_says_of_itself_is_on_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(parts()) == []
    for name in ("process.claim:x:before", "process.claim:x:after"):
        aims = [Point(names=(name,), reached=name.endswith("after"))]
        march = Report(
            deployment="sqlite" if aims[0].passes else "valkey",
            points=aims,
            missing=[],
            anomalies={},
            jobs=5,
            kills=1,
            seconds=1.0,
            commit="abc",
        )
        points.save(march)
    for plant, anomalies in (("run twice", {"overlap": 1}), ("token stands", {})):
        trial = Trial(script="calm", deployment="sqlite", plant=plant)
        plants.save(
            Verdict(trial=trial, anomalies=anomalies, example="", jobs=4, faults=1, seconds=1.0)
        )
    crash_points, planted = sorted(parts(), key=lambda one: one.name)
    assert "| sqlite | 1 of 1 | 1 | 5 | 0 | 1 |" in crash_points.text
    assert "- process.claim:x:before: never reached" in crash_points.text
    assert "caught: 1 of 2" in planted.text
    assert "| sqlite | calm | 4 | 1 | `overlap` |" in planted.text
    assert planted.text.count("**missed**") == 1


def test_a_file_of_a_process_is_one_whoever_asks_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(actor.HISTORY, str(tmp_path))
    opened = history.Recorder.__init__

    def slowly(recorder: Recorder, *given: Any) -> None:
        opened(recorder, *given)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # nobody else comes as far

    both = threading.Barrier(2)
    monkeypatch.setattr(history.Recorder, "__init__", slowly)
    actor._recorder.cache_clear()
    try:
        with ThreadPoolExecutor(2) as threads:
            first, second = (threads.submit(actor.recorder) for _ in range(2))
            assert first.result() is second.result()
    finally:
        actor._recorder.cache_clear()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_history_is_named_by_its_writer(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, "process")
    recorder.add_all(story().enqueue().lines)
    recorder.close()
    [(role, pid)] = Lives.of(tmp_path, slack=1).actors
    assert role == "process"
    assert pid > 0
    assert measure(Lives(slack=0)) == Measures()
