"""Provocations: what has somebody come to a crash point to which nobody comes by himself."""

import contextlib
import itertools
import signal
import time
from typing import Final

from chaos.stage import Stage
from chaos.trees import Tree

PATIENCE: Final = 4
"""Turns of which one is a producer's: the longer it is there, the more of its keys are held."""

BACKLOG: Final = 0.5
"""Seconds in which jobs gather."""


class Provocations:
    """Kills, ends and empties on one stage.

    Args:
        producers: how many there are while nothing happens.
    """

    def __init__(self, stage: Stage, producers: int) -> None:
        self._stage = stage
        self._producers = producers
        self._turns = itertools.count()
        self._provoked = itertools.count()

    def kill(self) -> None:
        """Kill a worker's host or one of its processes, in turn."""
        stage = self._stage
        working = self._working()
        if len(working) < 2:
            return
        tree = stage.random.choice(working)
        turn = next(self._turns) % 2
        with contextlib.suppress(IndexError):  # its process has died just now
            struck = tree.all() if turn else tree.below(tree.processes()[0])
            with stage.fault("provocation", "process", struck, charges=True):
                if turn:
                    tree.kill()
                else:
                    tree.send(signal.SIGKILL, struck[:1])

    def for_point(self, name: str) -> None:
        """Have somebody do what is done seldom."""
        turn = next(self._provoked)
        if name.startswith("producer"):
            if turn % PATIENCE == 0:
                self._replace_producer()
        elif name.startswith("supervisor.sweep"):
            self._flush_lane()
        else:
            ways = [self.kill]
            if name.startswith("process"):
                ways.append(self._terminate)
                if self._stage.deployment.lane:
                    ways += [self._flush_lane, self._stop_lane]
            ways[turn % len(ways)]()

    def _terminate(self) -> None:
        """End a worker, which has to write what is done by then."""
        stage = self._stage
        if working := self._working():
            tree = stage.random.choice(working)
            with stage.fault("provocation", "process", tree.all(), charges=True):
                tree.stop(10)

    def _flush_lane(self) -> None:
        """Empty the lane while jobs wait: all workers are gone for a moment."""
        stage = self._stage
        assert stage.valkey is not None  # noqa: S101 - a lane has a server
        with stage.fault("provocation", "process", stage.everyone(), charges=True):
            for tree in stage.trees:
                tree.kill()
        stage.wait(BACKLOG)
        with stage.fault("lane flushed", "none"):
            stage.valkey.command("FLUSHALL")

    def _stop_lane(self) -> None:
        """Stop the lane until the jobs of a worker that is gone have been sent back."""
        stage = self._stage
        assert stage.valkey is not None  # noqa: S101 - a lane has a server
        with stage.fault("lane stopped", "none"):
            stage.valkey.kill()
            self.kill()
            stage.wait(stage.setup.lease + BACKLOG)
            stage.valkey.start()

    def _replace_producer(self) -> None:
        """Kill a producer: another does for the first time what it has done long ago."""
        stage = self._stage
        working = [
            producer
            for producer in stage.producers
            for file in stage.history.glob(f"producer-{producer.pid}-*")
            if b'"enqueued"' in file.read_bytes()
        ]
        if len(working) == self._producers:
            producer = stage.random.choice(working)
            with stage.fault("provocation", "process", [producer.pid]):
                producer.kill()
                producer.wait()

    def heal(self) -> None:
        """Replace who died; somebody must work."""
        stage = self._stage
        stage.keep_trees()
        stage.keep_producers()
        deadline = time.monotonic() + 60
        while not any(_works(tree) for tree in stage.trees) and time.monotonic() < deadline:
            stage.wait(0.05)
            stage.keep_trees()

    def _working(self) -> list[Tree]:
        return [tree for tree in self._stage.trees if tree.lives and _works(tree)]


def _works(tree: Tree) -> bool:
    return tree.lives and " serves " in tree.log.read_text()
