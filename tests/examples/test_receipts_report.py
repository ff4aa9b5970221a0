"""The demo says so when a promise is broken."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from examples.receipts.ledger import Ledger, Reading
from examples.receipts.report import conclude
from examples.receipts.run import Kill, Order, Run
from rich.console import Console

from ferryman import Failure, Ferryman, Job, JobEvent, JobState, Reason

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
READING = Reading("Corner Grocery", "2026-03-14", "12.30", "GBP", 0.99, False)
TRUTH = {"merchant": "Corner Grocery", "date": "2026-03-14", "total": "12.30", "currency": "GBP"}


def job(id: str, state: JobState, reason: Reason, **more: Any) -> Job:
    return Job(
        id=id, task="read_receipt", queue="receipts", priority=0, state=state, reason=reason,
        args=b"", created_at=NOW, due_at=NOW, token=1, deliveries=1, **more,
    )  # fmt: skip


def claimed(id: str, second: float) -> list[JobEvent]:
    at = NOW + timedelta(seconds=second)
    return [
        JobEvent(
            seq=1, job_id=id, at=at, source=JobState.QUEUED, target=JobState.RUNNING,
            reason=Reason.CLAIMED,
        )
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run in which every promise was kept."""
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.create()
    for name in ("one", "two", "late"):
        ledger.begin(name, 1)
        ledger.store(name, 1, READING)
    done, broken = JobState.SUCCEEDED, Failure(kind="ferryman.Permanent", message="no picture")
    return Run(
        app=Ferryman(database_url=f"sqlite:///{tmp_path / 'unused.db'}"),
        ledger=ledger,
        orders=[
            Order("one", tmp_path / "one.jpg", high=True),
            Order("two", tmp_path / "two.jpg", high=False),
            Order("late", tmp_path / "late.jpg", high=False, late=True),
            Order("broken", tmp_path / "broken.jpg", high=False),
        ],
        jobs={
            "one": job("one", done, Reason.RETURNED),
            "two": job("two", done, Reason.RETURNED),
            "late": job("late", done, Reason.RETURNED, attempts=1),
            "broken": job("broken", JobState.FAILED, Reason.PERMANENT, attempts=1, failure=broken),
        },
        events={
            name: claimed(name, second)
            for second, name in enumerate(("one", "two", "late", "broken"))
        },
        duplicate_created=False,
    )


def concluded(run: Run, truth: dict[str, str] = TRUTH) -> tuple[int, str]:
    """The exit code and what was printed."""
    output = io.StringIO()
    truths = {f"{name}.jpg": truth for name in ("one", "two", "late")}
    code = conclude(Console(file=output, width=120), run, truths, Path("folder"))
    return code, output.getvalue()


def test_a_run_that_kept_its_promises_ends_with_0(run: Run) -> None:
    code, text = concluded(run)

    assert code == 0
    assert "BROKEN" not in text
    assert "Dead letter: broken, permanent" in text
    assert "no picture" in text


def lose_one(run: Run) -> None:
    run.jobs["two"] = job("two", JobState.FAILED, Reason.EXHAUSTED)


def store_twice(run: Run) -> None:
    with run.ledger._transaction() as connection:
        run.ledger._log(connection, "two", 2, "stored")


def store_what_is_broken(run: Run) -> None:
    run.ledger.begin("broken", 1)
    run.ledger.store("broken", 1, READING)


def take_the_duplicate(run: Run) -> None:
    run.duplicate_created = True


def let_the_low_one_go_first(run: Run) -> None:
    run.events["one"] = claimed("one", 9)


def try_the_broken_one_again(run: Run) -> None:
    run.jobs["broken"] = msgspec.structs.replace(run.jobs["broken"], attempts=2)


def read_the_late_one_at_once(run: Run) -> None:
    run.jobs["late"] = msgspec.structs.replace(run.jobs["late"], attempts=0)


def leave_a_process(run: Run) -> None:
    run.left_behind = 1


def kill_one(run: Run, *, back_after: float) -> None:
    """The child that read receipt one was killed, and the job went on elsewhere."""
    run.kill = "child"
    run.killed = Kill("child process 1", NOW.timestamp())
    run.ledger.begin("one", 2)
    [lost] = claimed("one", back_after)
    run.events["one"] += [
        msgspec.structs.replace(lost, target=JobState.QUEUED, reason=Reason.LEASE_LOST),
        *claimed("one", back_after + 0.5),
    ]


def test_a_kill_that_was_survived_is_reported_with_its_times(run: Run) -> None:
    kill_one(run, back_after=0.25)

    code, text = concluded(run)

    assert code == 0
    assert "Back in the queue after 0.25 s, claimed after 0.75 s," in text


def recover_slowly(run: Run) -> None:
    kill_one(run, back_after=1.5)


def kill_nobody(run: Run) -> None:
    run.kill = "worker"


@pytest.mark.parametrize(
    "fault",
    [
        lose_one,
        store_twice,
        store_what_is_broken,
        take_the_duplicate,
        let_the_low_one_go_first,
        try_the_broken_one_again,
        read_the_late_one_at_once,
        leave_a_process,
        recover_slowly,
        kill_nobody,
    ],
)
def test_a_run_with_a_broken_promise_ends_with_1(run: Run, fault: Any) -> None:
    fault(run)

    code, text = concluded(run)

    assert code == 1
    assert text.count("BROKEN") == 1


def test_a_low_score_ends_with_1(run: Run) -> None:
    code, text = concluded(run, {**TRUTH, "total": "99.99"})

    assert code == 1
    assert "12.30 not 99.99" in text
