"""Who acts in this process, and the file in which that is written down."""

import functools
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from chaos.history import Lag, Recorder, now

HISTORY: Final = "CHAOS_HISTORY"
"""The folder of the history; a process without this variable is no part of a run."""

SINK: Final = "CHAOS_SINK"
"""The socket of the sink outside."""

_ROLES: Final = {
    "chaos.producer": "producer",
    "chaos.plants.client": "client",
    "chaos.worker": "supervisor",
    "ferryman.worker.process": "process",
    "ferryman.worker.child": "child",
}

BEAT: Final = 0.1

_opening = threading.Lock()


def acts() -> bool:
    """Whether this process is part of a run."""
    return HISTORY in os.environ


@functools.cache
def role() -> str:
    """What this process is to the run, by the program that it was started as."""
    spec = sys.modules["__main__"].__spec__
    return _ROLES.get(spec.name if spec is not None else "", "runner")


def recorder() -> Recorder:
    """The file of this process, of which there is one, whichever thread asks first."""
    with _opening:
        return _recorder(os.getpid())


@functools.cache
def _recorder(pid: int) -> Recorder:
    return Recorder(Path(os.environ[HISTORY]), role())


def tell_of_lag(least: float) -> None:
    """Write down, from now on, when this process stood still for `least` seconds or more."""

    def watch() -> None:
        last = time.monotonic()
        while True:
            time.sleep(BEAT)
            late = time.monotonic() - last - BEAT
            if late >= least:
                recorder().add(Lag(t=now(), who=role(), pid=os.getpid(), seconds=round(late, 3)))
            last = time.monotonic()

    threading.Thread(target=watch, name="chaos-lag", daemon=True).start()
