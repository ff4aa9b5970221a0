"""The demo as a newcomer runs it: a real engine, real processes, a real SIGKILL."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("rapidocr") is None,
        reason="needs examples/receipts/requirements.lock: `make demo` installs it",
    ),
    pytest.mark.timeout(400),
]

ROOT = Path(__file__).parents[2]


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The demo in a working directory of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "examples.receipts.demo", "--count", "7", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A test process that runs beside others may be deaf to Ctrl-C, and would pass it on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def left_behind(folder: Path) -> list[psutil.Process]:
    """Processes that belong to the demo of this folder."""
    mine = str(folder.resolve())
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("RECEIPTS_FOLDER", "").startswith(mine)
    ]


def test_an_interrupted_demo_is_repeated_and_survives_a_kill(tmp_path: Path) -> None:
    interrupted = start(tmp_path)
    log = tmp_path / ".ferryman/receipts/worker.log"
    while not (log.exists() and "serves receipts" in log.read_text()):
        assert interrupted.poll() is None
        time.sleep(0.1)
    interrupted.send_signal(signal.SIGINT)
    text, _ = interrupted.communicate(timeout=60)

    assert interrupted.returncode == 130, text
    assert "Traceback" not in text
    assert left_behind(tmp_path) == []

    killing = start(tmp_path, "--kill")
    text, _ = killing.communicate(timeout=360)

    broken = [line for line in text.splitlines() if line.startswith("BROKEN")]
    # How soon a job is back is for a quiet machine to show.
    assert all("is back in the queue within" in line for line in broken), text
    assert killing.returncode == (1 if broken else 0), text
    assert "7 of 7 were stored one time" in text
    assert "Killed the child process" in text
    assert left_behind(tmp_path) == []
