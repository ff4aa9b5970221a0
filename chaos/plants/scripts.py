"""Scripts: the fewest jobs and faults that must show what a planted fault does."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from chaos import faults
from chaos.plants.steps import Step
from chaos.servers import until
from chaos.stage import Setup, Stage
from chaos.trees import Tree

Play = Callable[[Stage], None]

EAGER: Final = {"CHAOS_EAGER": "1"}


class ClientFailed(Exception):
    """The client has not done what it was told; the message holds the end of its log."""


PATIENCE: Final = 60.0
"""Seconds that what a script waits for may take on a machine that does much else."""


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What a client does, and what is done to the workers meanwhile.

    Attributes:
        drain: seconds that the system may take to come to rest.
        kills_client: the client is to be killed, and not to come to its end.
        checks: further checks of its history, by name.
    """

    name: str
    steps: tuple[Step, ...]
    play: Play = lambda _: None
    setup: Setup = Setup(lease=5.0, trees=1, concurrency=8)
    drain: float = 25.0
    kills_client: bool = False
    checks: tuple[str, ...] = ()


# -- what plays are made of ----------------------------------------------------------------------


def starts(stage: Stage) -> int:
    """How many deliveries have begun."""
    return sum(
        file.read_bytes().count(b'"act":"start"')
        for kind in ("process", "child")
        for file in stage.history.glob(f"{kind}-*")
    )


def _begun(count: int) -> Play:
    def play(stage: Stage) -> None:
        until(lambda: starts(stage) >= count, PATIENCE, f"{count} jobs begin")

    return play


def _inject(name: str, begun: int) -> Play:
    """A fault, once so many deliveries have begun."""

    def play(stage: Stage) -> None:
        _begun(begun)(stage)
        fault = faults.ALL[name]
        with fault.inject(stage):
            stage.wait(fault.lasts(stage.setup.lease))

    return play


def _busy(stage: Stage) -> Tree:
    """The worker that has begun with most jobs."""

    def began(tree: Tree) -> int:
        files = (
            file for pid in tree.processes() for file in stage.history.glob(f"process-{pid}-*")
        )
        return sum(file.read_bytes().count(b'"act":"start"') for file in files)

    return max(stage.trees, key=began)


@contextlib.contextmanager
def _asleep(tree: Tree) -> Iterator[None]:
    """A worker that claims nothing for a moment, in which its lease holds."""
    everyone = tree.all()
    tree.send(signal.SIGSTOP, everyone)
    try:
        yield
    finally:
        tree.send(signal.SIGCONT, everyone)


def _zombies(count: int, seconds: float, *, revived: bool = False) -> Play:
    """All jobs begin in one worker, whose supervisor is then stopped until they have ended.

    Args:
        revived: or until they have begun elsewhere: it goes on while its own still run.
    """

    def play(stage: Stage) -> None:
        _until_marked(stage)
        with _asleep(stage.trees[1]):
            _begun(count)(stage)
        tree = stage.trees[0]
        with stage.fault("supervisor stopped", "process", tree.all(), charges=True):
            tree.send(signal.SIGSTOP, [tree.pid])
            if revived:
                _begun(2 * count)(stage)
            else:
                stage.wait(seconds + 0.5)
            tree.send(signal.SIGCONT, [tree.pid])
        stage.wait(1.0)

    return play


def _host_lost(stage: Stage) -> None:
    """The worker that has the jobs is gone with its host, and nobody takes its place."""
    _begun(2)(stage)
    tree = _busy(stage)
    with stage.fault("tree killed", "process", tree.all(), charges=True):
        tree.kill()
    stage.trees.remove(tree)


def _terminated(stage: Stage) -> None:
    _begun(2)(stage)
    tree = _busy(stage)
    with stage.fault("terminated", "process", tree.all()):
        tree.stop(30)
    stage.replace(tree)


def _client_killed(stage: Stage) -> None:
    """The client is killed as soon as it was told that its jobs were taken in."""
    _until_marked(stage)
    for producer in stage.producers:
        producer.kill()
        producer.wait()


def _until_marked(stage: Stage) -> None:
    until(
        lambda: any(b'"mark"' in file.read_bytes() for file in stage.history.glob("client-*")),
        PATIENCE,
        "the client is there",
    )


# -- the scripts ---------------------------------------------------------------------------------

ZOMBIES: Final = 5.0

CALM: Final = Script(
    name="calm",
    steps=(
        Step(do="enqueue", name="one", count=24),
        Step(do="enqueue", name="many", count=12, together=True),
        Step(do="enqueue", name="fail", task="fail_once", count=4),
        Step(do="enqueue", name="snooze", task="snooze", count=3),
        Step(do="enqueue", name="late", count=6, delay=1.5),
    ),
)

LONG: Final = Script(
    name="long jobs",
    steps=(
        Step(do="enqueue", name="short", count=6),
        Step(do="enqueue", name="long", count=3, seconds=6.0, pause=6.0),
    ),
    setup=Setup(lease=2.5, trees=1, concurrency=16),
)

KILLED: Final = Script(
    name="process killed",
    steps=(Step(do="enqueue", count=4, seconds=3.0),),
    play=_inject("process killed", 4),
    setup=Setup(lease=4.0, trees=1, concurrency=8, environment=EAGER),
)

HOST_LOST: Final = Script(
    name="host lost",
    steps=(Step(do="enqueue", count=2, seconds=3.0),),
    play=_host_lost,
    setup=Setup(lease=2.0, trees=3, concurrency=2),
    drain=15.0,
)

ZOMBIE: Final = Script(
    name="zombies",
    steps=(
        Step(do="mark", name="ready", pause=0.5),
        Step(do="enqueue", count=3, seconds=ZOMBIES, together=True),
    ),
    play=_zombies(3, ZOMBIES),
    setup=Setup(lease=2.5, trees=2, concurrency=3),
)

REVIVED: Final = Script(
    name="zombies revived",
    steps=(
        Step(do="mark", name="ready", pause=0.5),
        Step(do="enqueue", count=3, seconds=2 * ZOMBIES, together=True),
    ),
    play=_zombies(3, ZOMBIES, revived=True),
    setup=Setup(lease=2.5, trees=2, concurrency=3),
)

ZOMBIE_REPORTS: Final = Script(
    name="zombies report",
    steps=(
        Step(do="mark", name="ready", pause=0.5),
        Step(do="enqueue", task="report", count=3, seconds=ZOMBIES, together=True),
    ),
    play=_zombies(3, ZOMBIES),
    setup=Setup(lease=2.5, trees=2, concurrency=3),
)

POISON: Final = Script(
    name="poison",
    steps=(Step(do="enqueue", task="poison"), Step(do="enqueue", name="good")),
    setup=Setup(lease=3.0, trees=1, environment=EAGER),
    play=lambda stage: stage.wait(1.0),
    drain=30.0,
)

UNIQUE: Final = Script(
    name="unique",
    steps=(
        Step(do="enqueue", name="first", unique="k", seconds=0.6, pause=0.1),
        Step(do="enqueue", name="second", unique="k", pause=2.0),
        Step(do="enqueue", name="third", unique="k", pause=1.0),
        Step(do="enqueue", name="fourth", unique="k", conflict="return"),
    ),
)

TERMINATED: Final = Script(
    name="terminated",
    steps=(Step(do="enqueue", count=2, seconds=4.0),),
    play=_terminated,
    setup=Setup(lease=5.0, trees=1, grace=0.5),
)

CANCELLED: Final = Script(
    name="cancelled",
    steps=(
        Step(do="enqueue", name="later", delay=2.0),
        Step(do="enqueue", name="now", seconds=6.0, pause=1.0),
        Step(do="cancel", job="later-1"),
        Step(do="cancel", job="now-1"),
    ),
    checks=("unheard",),
)

PAUSED: Final = Script(
    name="paused and expired",
    steps=(
        Step(do="enqueue", name="before", pause=0.5),
        Step(do="pause"),
        Step(do="enqueue", name="held", count=2),
        Step(do="enqueue", name="late", count=2, expires=0.2, pause=1.5),
        Step(do="resume"),
    ),
    # So seldom that nobody but the claim sees in time that a job has expired.
    setup=Setup(lease=10.0, sweep=8.0, trees=1),
    checks=("paused",),
)

ROLLED_BACK: Final = Script(
    name="rolled back",
    steps=(Step(do="roll back", count=2), Step(do="enqueue", name="good", pause=1.0)),
)

CLIENT_KILLED: Final = Script(
    name="client killed",
    steps=(
        Step(do="enqueue", count=4),
        Step(do="mark", name="enqueued", pause=30.0),
    ),
    play=_client_killed,
    kills_client=True,
)

LANE_FLUSHED: Final = Script(
    name="lane flushed",
    steps=(Step(do="enqueue", count=4, pause=2.5), Step(do="enqueue", name="after", count=4)),
    play=_inject("lane flushed", 4),
)

LANE_RESTARTED: Final = Script(
    name="lane restarted",
    steps=(Step(do="enqueue", count=4, pause=4.0), Step(do="enqueue", name="after", count=4)),
    play=_inject("valkey restarted", 4),
)

URGENT: Final = Script(
    name="urgent among many",
    steps=(
        Step(do="wait", pause=2.0),  # the lane is filled by then
        Step(do="enqueue", name="many", count=900, seconds=0.1, together=True, pause=0.5),
        Step(do="enqueue", name="urgent", count=5, seconds=0.1, priority=50, pause=0.2),
    ),
    setup=Setup(lease=5.0, trees=1, concurrency=4),
    checks=("overtaken",),
    drain=60.0,
)

_SCRIPTS: Final = (
    *(CALM, LONG, KILLED, HOST_LOST, ZOMBIE, REVIVED, ZOMBIE_REPORTS, POISON, UNIQUE, TERMINATED),
    *(CANCELLED, PAUSED, ROLLED_BACK, CLIENT_KILLED, LANE_FLUSHED, LANE_RESTARTED, URGENT),
)
ALL: Final = {script.name: script for script in _SCRIPTS}
"""Every script by its name."""


def until_done(stage: Stage, script: Script) -> None:
    """Wait until the client has taken all its steps.

    Raises:
        ClientFailed: it came to another end.
    """
    [client] = stage.producers
    stage.producers.clear()
    if client.wait(PATIENCE) and not script.kills_client:
        raise ClientFailed((stage.folder / "client.log").read_text()[-1000:])
