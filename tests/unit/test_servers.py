"""The servers of the tests end with whoever started them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests import servers
from tests.conftest import running

ROOT = Path(__file__).parents[2]
STARTER = """
import time
from tests import servers
from tests.conftest import running
with servers.{kind}() as url:
    print(url, flush=True)
    time.sleep(600)
"""


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether `condition` comes about in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("kind", ["valkey", "postgresql"])
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_does_not_outlive_a_killed_run(kind: str, sign: signal.Signals) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER.format(kind=kind)], cwd=ROOT, stdout=subprocess.PIPE
    )
    with starter:
        assert starter.stdout is not None
        if not starter.stdout.readline():
            pytest.skip(f"{kind} is not installed")
        started = psutil.Process(starter.pid).children(recursive=True)
        assert len(started) >= 2
        directory = Path(started[0].cmdline()[3])
        assert directory.is_dir()
        os.kill(starter.pid, sign)
    assert eventually(lambda: not any(process.is_running() for process in started))
    assert eventually(lambda: not directory.exists())


def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such option')"]
    directory = tmp_path / "run"
    directory.mkdir()
    server = servers.Server(directory, command, "", "SIGTERM")
    try:
        with pytest.raises(RuntimeError, match="no such option"):
            server.wait_until(lambda: False)
    finally:
        server.stop()


@contextlib.contextmanager
def missing() -> Iterator[str]:
    """A server whose program is not there."""
    if not shutil.which("a-program-that-nobody-has"):
        raise servers.Missing("it is not installed: apt-get install it")
    yield ""


def test_a_missing_server_skips_at_home_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install it"), running(missing):
        pass
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install it"), running(missing):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a server as another user")
def test_postgresql_is_copied_to_where_its_user_can_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_reachable", lambda path: False)
    with servers.postgresql() as url:
        with psycopg.connect(url.format(database="postgres")) as connection:
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        assert row is not None
        assert list((Path(row[0]).parent / "programs").glob("*/*/bin/postgres"))


def test_a_port_is_free() -> None:
    assert 1024 <= servers.free_port() <= 65535
