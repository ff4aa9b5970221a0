"""A virtual environment for each peer, made once and kept: `~/.cache/ferryman-benchmarks`.

`FERRYMAN_BENCHMARKS_CACHE` names another place. What is installed is pinned in
`benchmarks/requirements/PEER.txt`; a changed file makes a new environment.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.systems import System

REQUIREMENTS = Path(__file__).parent / "requirements"


class Unavailable(Exception):
    """A system cannot be run here; the message says why."""


def interpreter(system: System) -> Path:
    """The Python that runs a system's processes; its environment is made if it is not there.

    Raises:
        Unavailable: there is no Python that it runs on, or its packages cannot be installed.
    """
    if system.own:
        return Path(sys.executable)
    base = _python(system)
    requirements = REQUIREMENTS / f"{system.peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + str(base).encode()).hexdigest()[:12]
    home = cache() / f"{system.peer}-{digest}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "ready").exists():
            _make(base, home, requirements)
    return home / "bin" / "python"


def cache() -> Path:
    """Where the environments are."""
    given = os.environ.get("FERRYMAN_BENCHMARKS_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "ferryman-benchmarks"


def _make(base: Path, home: Path, requirements: Path) -> None:
    print(f"makes the environment of {requirements.stem} in {home}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    pip = (home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "-r")
    for command in ((base, "-m", "venv", home), (*pip, requirements)):
        made = subprocess.run([*map(str, command)], capture_output=True, text=True)
        if made.returncode:
            raise Unavailable(f"{requirements.name} cannot be installed:\n{made.stderr[-2000:]}")
    (home / "ready").touch()


def _python(system: System) -> Path:
    if sys.version_info[:2] >= system.python:
        return Path(sys.executable).resolve()
    for path in _known(system.python):
        if _version(path) >= system.python:
            return path
    least = ".".join(map(str, system.python))
    raise Unavailable(f"{system.name} needs Python {least} or later: put python{least} on the path")


def _known(least: tuple[int, int]) -> Iterator[Path]:
    for minor in range(least[1], least[1] + 4):
        if found := shutil.which(f"python{least[0]}.{minor}"):
            yield Path(found)
        for home in sorted((Path.home() / ".pyenv" / "versions").glob(f"{least[0]}.{minor}.*")):
            yield home / "bin" / "python"


def _version(python: Path) -> tuple[int, ...]:
    program = "import sys; print(*sys.version_info[:2])"
    told = subprocess.run([python, "-c", program], capture_output=True, text=True)
    return tuple(map(int, told.stdout.split())) if told.returncode == 0 else (0,)
