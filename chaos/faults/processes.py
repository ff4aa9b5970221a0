"""Faults of workers: killed, stopped, told to leave, starved, with a wrong clock."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chaos.faults.base import LEASES, Fault, repeated
from chaos.servers import until
from chaos.stage import Stage
from chaos.trees import Tree

BETWEEN_TERMS: Final = 0.05
FAKETIME: Final = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


@contextlib.contextmanager
def children_killed(stage: Stage) -> Iterator[None]:
    """SIGKILL of half of the children in which jobs run."""
    tree = stage.some_tree()
    running = until(lambda: _running(stage, tree), 30, "children run jobs")
    struck = stage.random.sample(running, (len(running) + 1) // 2)
    with stage.fault("children killed", "process", struck, charges=True):
        tree.send(signal.SIGKILL, struck)
    yield


def _running(stage: Stage, tree: Tree) -> list[int]:
    """The children whose latest word is that a job starts."""
    return [
        pid
        for pid in tree.children()
        for file in stage.history.glob(f"child-{pid}-*")
        if b'"start"' in file.read_bytes().rstrip().rpartition(b"\n")[2]
    ]


def _process(stage: Stage) -> tuple[Tree, int]:
    """A worker, and a process of it: not of one that is about to leave."""

    def find() -> tuple[Tree, int] | None:
        stage.keep_trees()
        tree = stage.some_tree()
        processes = tree.processes()
        return (tree, stage.random.choice(processes)) if processes else None

    found: tuple[Tree, int] = until(find, 60, "a process is there", 0.05)
    return found


@contextlib.contextmanager
def process_killed(stage: Stage) -> Iterator[None]:
    """SIGKILL of a worker process; its supervisor starts another."""
    tree, process = _process(stage)
    with stage.fault("process killed", "process", tree.below(process), charges=True):
        tree.send(signal.SIGKILL, [process])
    yield


@contextlib.contextmanager
def tree_killed(stage: Stage) -> Iterator[None]:
    """SIGKILL of a supervisor and all below it: the host is gone. Another takes its place."""
    tree = stage.some_tree()
    with stage.fault("tree killed", "process", tree.all(), charges=True):
        tree.kill()
    yield
    stage.replace(tree)


@contextlib.contextmanager
def supervisor_killed(stage: Stage) -> Iterator[None]:
    """SIGKILL of a supervisor alone: what it started must not outlive it."""
    tree = stage.some_tree()
    everyone = tree.all()
    with stage.fault("supervisor killed", "process", everyone, charges=True):
        tree.send(signal.SIGKILL, [tree.pid])
        tree.process.wait()
    yield
    stage.replace(tree)


@contextlib.contextmanager
def tree_stopped(stage: Stage) -> Iterator[None]:
    """SIGSTOP of a whole worker past its leases, then SIGCONT: its deliveries are zombies."""
    tree = stage.some_tree()
    everyone = tree.all()
    with stage.fault("tree stopped", "process", everyone, charges=True):
        tree.send(signal.SIGSTOP, everyone)
        yield
        tree.send(signal.SIGCONT, everyone)


@contextlib.contextmanager
def supervisor_stopped(stage: Stage) -> Iterator[None]:
    """SIGSTOP of what renews the leases alone: its processes go on, and finish too late."""
    tree = stage.some_tree()
    with stage.fault("supervisor stopped", "process", tree.all(), charges=True):
        tree.send(signal.SIGSTOP, [tree.pid])
        yield
        tree.send(signal.SIGCONT, [tree.pid])


@contextlib.contextmanager
def process_stopped(stage: Stage) -> Iterator[None]:
    """SIGSTOP of a worker process for more than a lease: it is late, and not dead."""
    tree, process = _process(stage)
    with stage.fault("process stopped", "none", [process]):
        tree.send(signal.SIGSTOP, [process])
        yield
        tree.send(signal.SIGCONT, [process])


@contextlib.contextmanager
def told_twice(stage: Stage) -> Iterator[None]:
    """SIGTERM, and again while it leaves; another takes its place."""
    tree = stage.some_tree()
    with stage.fault("terminated twice", "process", tree.all()):
        tree.send(signal.SIGTERM, [tree.pid])
        time.sleep(BETWEEN_TERMS)
        tree.stop(30)
    yield
    stage.replace(tree)


@contextlib.contextmanager
def starved(stage: Stage) -> Iterator[None]:
    """A worker gets a tenth of the processor: it is stopped for nine tenths of the time."""
    tree = stage.some_tree()

    def stop_and_go() -> None:
        everyone = tree.all()
        tree.send(signal.SIGSTOP, everyone)
        time.sleep(0.09)
        tree.send(signal.SIGCONT, everyone)

    with stage.fault("starved", "none", tree.all()), repeated(stop_and_go, 0.01):
        yield


@contextlib.contextmanager
def clock_jumped(stage: Stage) -> Iterator[None]:
    """The wall clocks of workers and producers jump by hours, ahead and then back."""
    with stage.fault("clock jumped", "none"):
        set_clock(stage.folder, "+3h")
        yield
        set_clock(stage.folder, "-2h")


def set_clock(folder: Path, offset: str) -> None:
    """Set the wall clock of all who look at it; a process that found half a file would end."""
    draft = folder / "clock.draft"
    draft.write_text(f"{offset}\n")
    draft.rename(folder / "clock")


FAULTS: Final = (
    Fault(name="children killed", inject=children_killed, mix={"work_isolated": 8}),
    Fault(name="process killed", inject=process_killed),
    Fault(name="tree killed", inject=tree_killed),
    Fault(name="supervisor killed", inject=supervisor_killed),
    Fault(name="tree stopped", inject=tree_stopped, hold=0.5, leases=LEASES),
    Fault(name="supervisor stopped", inject=supervisor_stopped, hold=0.5, leases=LEASES),
    Fault(name="process stopped", inject=process_stopped, leases=LEASES),
    Fault(name="terminated twice", inject=told_twice),
    Fault(name="starved", inject=starved, leases=3.0),
    Fault(
        name="clock jumped",
        inject=clock_jumped,
        need="clock",
        leases=1.0,
        joins=False,
        tool=FAKETIME,
        setup={
            "environment": {
                "LD_PRELOAD": FAKETIME,
                "FAKETIME_TIMESTAMP_FILE": "{folder}/clock",
                "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        },
    ),
)
