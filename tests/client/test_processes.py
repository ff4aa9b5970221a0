"""A client that crosses a fork, and scripts that end without saying goodbye."""

import os
import subprocess
import sys
from pathlib import Path

from ferryman import Ferryman
from ferryman.settings import Settings

FORKING = """
import os, sys
from ferryman import Ferryman

app = Ferryman()
task = app.named("work")
task.enqueue("before the fork")
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        for n in range(10):
            task.enqueue(f"child {child} {n}")
        app.close()
        os._exit(0)
    children.append(pid)
for n in range(10):
    task.enqueue(f"parent {n}")
codes = [os.waitpid(pid, 0)[1] for pid in children]
task.enqueue("after the children ended")
assert codes == [0, 0, 0], codes
"""

ASYNC_SCRIPT = """
import asyncio
from ferryman import Ferryman

app = Ferryman()

async def main():
    await app.named("work").aenqueue(1)

asyncio.run(main())
asyncio.run(main())
"""


def _run(script: str, settings: Settings, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "FERRYMAN_DATABASE_URL": settings.database_url or "",
        "FERRYMAN_VALKEY_URL": settings.valkey_url or "",
        "FERRYMAN_NAMESPACE": settings.namespace,
        "FERRYMAN_ALLOW": ",".join(settings.allow),
        "PYTHONWARNINGS": "error",
    }
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_forked_children_and_their_parent_all_enqueue(
    app: Ferryman, settings: Settings, tmp_path: Path
) -> None:
    done = _run(FORKING, settings, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert app.jobs.count() == 42


def test_a_script_that_never_closes_leaves_nothing_open(
    app: Ferryman, settings: Settings, tmp_path: Path
) -> None:
    done = _run(ASYNC_SCRIPT, settings, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert app.jobs.count() == 2
