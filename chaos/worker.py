"""`ferryman worker`, with instruments: the same supervisor, processes and children.

python -m chaos.worker APP OPTIONS
"""

import os
import sys
from typing import Final

import msgspec

from chaos import actor, instruments
from ferryman.worker import supervisor
from ferryman.worker.options import WorkerOptions

EAGER: Final = "CHAOS_EAGER"
"""Set: a process that died is started again at once, however often that happens."""

LAG: Final = "CHAOS_LAG"
"""Seconds for which the supervisor must stand still for that to be written down."""


def main(app: str, options: str) -> int:
    """Run a worker; the exit code is its supervisor's."""
    instruments.install()
    if EAGER in os.environ:
        supervisor.PROVEN_AFTER = 0.0  # type: ignore[misc]
    actor.tell_of_lag(float(os.environ[LAG]))
    return supervisor.run(app, msgspec.json.decode(options, type=WorkerOptions))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
