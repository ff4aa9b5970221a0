"""The worker of one system: `python -m benchmarks.work PEER OPTIONS`, the options as JSON."""

import importlib
import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace

from benchmarks import deathbed
from benchmarks.peers.base import Peer, Work


def main(name: str, work: Work) -> None:
    """Work until SIGTERM."""
    peer: Peer = importlib.import_module(f"benchmarks.peers.{name}").Peer()
    if work.processes == 1 or peer.own_processes:
        peer.work(work)
    else:
        _several(name, work)


def _several(name: str, work: Work) -> None:
    one = json.dumps(asdict(replace(work, processes=1)))
    command = [sys.executable, "-m", "benchmarks.work", name, one]
    workers = [subprocess.Popen(command) for _ in range(work.processes)]

    def stop(*_: object) -> None:
        for worker in workers:
            worker.terminate()

    signal.signal(signal.SIGTERM, stop)
    for worker in workers:
        worker.wait()


if __name__ == "__main__":
    deathbed.follow()
    main(sys.argv[1], Work(**json.loads(sys.argv[2])))
