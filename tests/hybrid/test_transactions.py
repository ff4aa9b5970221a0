"""T1, and completion in the job's own transaction: real workers, real kills."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine, create_engine, text

from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.sql.engine import parse_url
from tests.hybrid.lane_server import LaneServer
from tests.worker.rig import ROOT, Rig, until

APP = "tests.hybrid.jobs:app"


@pytest.fixture
def rig(settings: Settings, tmp_path: Path) -> Iterator[Rig]:
    """A store and workers for it."""
    rig = Rig(msgspec.structs.replace(settings, lease=5.0, sweep=0.2), tmp_path)
    yield rig
    rig.app.close()


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """The application's own engine, with a table of its own."""
    url = parse_url(settings.database_url or "")
    sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(url.set(drivername="sqlite") if sqlite else url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS effects"))
        connection.execute(text("CREATE TABLE effects (job_id TEXT)"))
    yield engine
    engine.dispose()


def effects(engine: Engine) -> dict[str, int]:
    """How often each job's write was committed."""
    counted = text("SELECT job_id, count(*) AS number FROM effects GROUP BY job_id")
    with engine.connect() as connection:
        return {row.job_id: row.number for row in connection.execute(counted)}


def ended(rig: Rig, ids: list[str]) -> bool:
    """Whether all of these jobs have ended."""
    return all(rig.app.jobs.get(one).state.terminal for one in ids)


ENQUEUE = """
import os, signal, sys
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from tests.hybrid.jobs import plain, _engine
kind, end = sys.argv[1:]
def transaction():
    if kind == "session":
        return Session(_engine)
    if kind == "connection":
        return _engine.connect()
    return _engine.raw_connection().driver_connection
one = transaction()
plain.using(id="job", session=one).enqueue()
getattr(one, end)()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["session", "connection", "raw"])
def test_a_job_is_part_of_its_transaction(rig: Rig, kind: str) -> None:
    """The process that enqueues is killed right after it committed, or rolled back."""
    with rig.worker(APP, concurrency=2) as worker:
        rig.until_live()
        for end in ("rollback", "commit"):
            command = [sys.executable, "-c", ENQUEUE, kind, end]
            done = subprocess.run(command, cwd=ROOT, env=dict(rig.environment()), check=False)
            assert done.returncode == -signal.SIGKILL
            if end == "rollback":
                time.sleep(0.3)
                assert not list(rig.app.jobs.list())
        until(lambda: ended(rig, ["job"]))
        worker.terminate()
        worker.wait()


@pytest.mark.parametrize("task", ["in_thread", "in_child", "on_loop"])
def test_effects_happen_once_whatever_is_killed(rig: Rig, engine: Engine, task: str) -> None:
    ids = [rig.enqueue(task, 0.05, id=f"job-{number}").id for number in range(20)]
    for _ in range(2):
        with rig.worker(APP, concurrency=4) as worker:
            seen = len(effects(engine))
            until(lambda: len(effects(engine)) >= min(seen + 3, 20))  # noqa: B023
            worker.kill_tree()
    with rig.worker(APP, concurrency=4) as worker:
        until(lambda: ended(rig, ids), 60)
        worker.terminate()
        worker.wait()
    assert effects(engine) == dict.fromkeys(ids, 1)
    jobs = [rig.app.jobs.get(one) for one in ids]
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    assert {job.result() for job in jobs} == {"completed"}


def test_a_rolled_back_completion_is_none(rig: Rig, engine: Engine) -> None:
    with rig.worker(APP) as worker:
        job = rig.enqueue("rolled_back")
        assert job.result(timeout=20) == "returned"
        late = rig.enqueue("raises_afterwards")
        assert late.result(timeout=20) == "completed"
        worker.terminate()
        worker.wait()
    assert effects(engine) == {late.id: 1}
    assert late.refresh().state is JobState.SUCCEEDED


def test_flushes_and_kills_lose_nothing(rig: Rig, lane: LaneServer) -> None:
    with rig.worker(APP, concurrency=8) as worker:
        rig.until_live()
        ids = []
        for number in range(150):
            delay = 0.5 if number % 3 == 0 else 0.0
            ids.append(rig.enqueue("plain", id=f"job-{number}", delay=delay).id)
            if number % 40 == 20:
                lane.flush()
            if number == 75:
                lane.replace()
        until(lambda: ended(rig, ids), 60)
        worker.terminate()
        worker.wait()
    jobs = [rig.app.jobs.get(one) for one in ids]
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    assert {job.record.deliveries for job in jobs} == {1}
