"""A terminal that a command believes to be one."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LIMIT = 60.0
"""Seconds that a command may take."""


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], keys: str
) -> tuple[int, str]:
    """The exit code of a command, and all that it wrote on the screen."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, keys.encode())
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        screen = _read(ours, process)
        return process.wait(LIMIT), screen.decode()
    finally:
        os.close(ours)
        os.close(theirs)


def _read(screen: int, process: subprocess.Popen[bytes]) -> bytes:
    written = b""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        if select.select([screen], [], [], 0.05)[0]:
            written += os.read(screen, 65536)
        elif ended:
            return written
    process.kill()
    raise TimeoutError(f"it goes on: {written!r}")
