"""The demo's dashboard: `ferryman serve` in a process of its own, on this host alone."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from examples.receipts.fleet import APP, ROOT


@contextlib.contextmanager
def dashboard(log: Path) -> Iterator[str]:
    """The dashboard's address, for as long as the block lasts."""
    command = [sys.executable, "-m", "ferryman", "serve", APP, "--port", "0", "--json"]
    with log.open("a") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, start_new_session=True
        )
    try:
        assert process.stdout is not None  # noqa: S101 - narrows the type
        said = process.stdout.readline()
        if not said:
            raise RuntimeError(f"the dashboard did not start; its log: {log}")
        yield str(json.loads(said)["url"])
    finally:
        process.terminate()
        process.wait()
