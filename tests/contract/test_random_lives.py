"""Random lives of jobs on each store and on the model, step by step the same, whatever happens.

A state machine of hypothesis: its steps are the verbs of the protocol, with small numbers, so that
ids, keys, workers and tokens collide often, and with mishaps. Nothing that is drawn depends on what
a store answered, and nothing on the time that a step takes. `RANDOM_LIVES=1000` tries more lives.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import hypothesis
import pytest
import redis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from ferryman.domain.states import JobState, Reason
from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.valkey import connection
from tests.backends import BACKENDS
from tests.clock import FakeClock
from tests.contract import test_planted as planted
from tests.contract.lives import IDS, QUEUES, SLOTS, Lives
from tests.contract.mishaps import STILL, Slip
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.contract.world import REASONS

LIVES = int(os.environ.get("RANDOM_LIVES", "8"))
STEPS = 50

Ground = Callable[[FakeClock], AbstractContextManager[Sequence[JobStore]]]
"""Two stores on one ground that was empty, not yet opened."""

ENDINGS = [*REASONS.items(), (JobState.QUEUED, Reason.RETRY)]

by = st.sampled_from([0, 1])
slot = st.integers(0, SLOTS - 1)
some = st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)
few = st.lists(st.sampled_from(IDS), max_size=1)
queue = st.sampled_from(QUEUES)
delay = st.sampled_from([0.0, 0.0, 0.0, 5.0, 20.0])
which = st.lists(st.sampled_from([0, 0, 1, 1, 2, 3, 7]), min_size=1, max_size=2)
slip = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.builds(
        Slip,
        part=st.sampled_from(["truth", "truth", "lane"]),
        lost=st.booleans(),
        at=st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
        times=st.sampled_from([1, 2, 9]),
    ),
)
job = st.fixed_dictionaries(
    {
        "job_id": st.sampled_from(IDS),
        "priority": st.sampled_from([-10, 0, 10]),
        "delay": delay,
        "expires_in": st.sampled_from([None, None, 7.0]),
        "unique": st.sampled_from([None, None, "k"]),
        "on_conflict": st.sampled_from(["refuse", "return"]),
        "held": st.sampled_from([False] * 7 + [True]),
    }
)
plain = some.map(lambda ids: [{"job_id": one} for one in ids])
ending = st.builds(
    lambda ends, **more: {"state": ends[0], "reason": ends[1], **more},
    st.sampled_from(ENDINGS),
    delay=delay,
    ttl=st.sampled_from([None, 4.0]),
    charge=st.integers(0, 1),
)


class LifeMachine(RuleBasedStateMachine):
    """One life on one ground."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        self._runner = self._stack.enter_context(asyncio.Runner())
        self._stores: Sequence[JobStore] = ()
        try:
            clock = FakeClock()
            self._stores = self._stack.enter_context(ground(clock))
            self._runner.run(self._open())
            self.lives = Lives(self._stores, clock)
            self._runner.run(self.lives.begin())
        except BaseException:
            self.teardown()
            raise

    async def _open(self) -> None:
        for store in self._stores:
            await store.open()
        await self._sweep()

    async def _sweep(self) -> None:
        # Always in the same process: of several one compares the lane, whichever comes first.
        if isinstance(self._stores[0], HybridStore):
            await self._stores[0].sweep()

    async def _close(self) -> None:
        for store in self._stores:
            await store.close()

    def teardown(self) -> None:
        try:
            self._runner.run(self._close())
        finally:
            self._stack.close()

    def _step(self, verb: str, **arguments: Any) -> None:
        self._runner.run(self.lives.step(verb, arguments))

    # -- producers ---------------------------------------------------------------------------

    @rule(jobs=st.lists(job, min_size=1, max_size=2), by=by, slip=slip)
    def submit(self, **arguments: Any) -> None:
        self._step("submit", **arguments)

    @rule(jobs=plain, by=by, slip=slip)
    def submit_plain(self, **arguments: Any) -> None:
        self._step("submit", **arguments)

    @rule(ids=some, by=by, slip=slip)
    def cancel(self, **arguments: Any) -> None:
        self._step("cancel", **arguments)

    @rule(ids=some, args=st.sampled_from([None, b"new"]), by=by, slip=slip)
    def retry(self, **arguments: Any) -> None:
        self._step("retry", **arguments)

    @rule(ids=some, by=by, slip=slip)
    def discard(self, **arguments: Any) -> None:
        self._step("discard", **arguments)

    @rule(ids=some, by=by, slip=slip)
    def admit(self, **arguments: Any) -> None:
        self._step("admit", **arguments)

    # -- workers -----------------------------------------------------------------------------

    @rule(
        slot=slot,
        limit=st.integers(1, 4),
        backwards=st.booleans(),
        looks=st.booleans(),
        by=by,
        slip=slip,
    )
    def claim(self, **arguments: Any) -> None:
        self._step("claim", **arguments)

    @rule(which=which, fields=ending, by=by, slip=slip)
    def finish(self, **arguments: Any) -> None:
        self._step("finish", **arguments)

    @rule(
        which=which,
        fields=ending,
        slot=slot,
        limit=st.integers(1, 2),
        looks=st.booleans(),
        by=by,
        slip=slip,
    )
    def finish_and_claim(self, **arguments: Any) -> None:
        self._step("finish_and_claim", **arguments)

    claim_more, finish_more = claim, finish  # as likely as several others together
    submit_more = submit

    @rule(slot=slot, kill=st.booleans(), spare=few, keep=few, by=by, slip=slip)
    def hand_back(self, **arguments: Any) -> None:
        self._step("hand_back", **arguments)

    @rule(which=which, current=st.integers(0, 7), by=by, slip=slip)
    def progress(self, **arguments: Any) -> None:
        self._step("progress", **arguments)

    @rule(slot=slot, by=by, slip=slip)
    def renew(self, **arguments: Any) -> None:
        self._step("renew", **arguments)

    @rule(slot=slot, unregister=st.booleans(), by=by, slip=slip)
    def restart(self, **arguments: Any) -> None:
        self._step("restart", **arguments)

    @rule(slot=slot, reaped=st.booleans(), fields=ending, by=by)
    def zombie(self, **arguments: Any) -> None:
        self._step("zombie", **arguments)

    # -- upkeep and queues -------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.512, 3.2, 6.4, 40.0]))
    def advance(self, seconds: float) -> None:
        self._step("advance", seconds=seconds)

    @rule(by=by, slip=slip)
    def reap(self, **arguments: Any) -> None:
        self._step("reap", **arguments)

    @rule(by=by, slip=slip)
    def promote(self, **arguments: Any) -> None:
        self._step("promote", **arguments)

    @rule(by=by, slip=slip)
    def expire(self, **arguments: Any) -> None:
        self._step("expire", **arguments)

    @rule(
        max_history=st.sampled_from([None, None, 0]),
        ttl=st.sampled_from([None, 5.0]),
        by=by,
        slip=slip,
    )
    def prune(self, **arguments: Any) -> None:
        self._step("prune", **arguments)

    @rule(queue=queue, resumes=st.sampled_from([True, True, False]), by=by, slip=slip)
    def pause(self, resumes: bool, **arguments: Any) -> None:
        self._step("resume" if resumes else "pause", **arguments)

    @rule(queue=queue, by=by, slip=slip)
    def purge(self, **arguments: Any) -> None:
        self._step("purge", **arguments)

    @rule()
    def look(self) -> None:
        self._step("look")


class ServerMachine(LifeMachine):
    """One life beside a Valkey or Redis server, which forgets its scripts."""

    @property
    def _server(self) -> str:
        store: Any = self._stores[0]
        url: str = store._settings.valkey_url if hasattr(store, "_settings") else store._lane_url
        return url

    @rule()
    def forget_scripts(self) -> None:
        with redis.Redis.from_url(self._server) as client:
            client.script_flush()


class HybridMachine(LifeMachine):
    """One life on a database with a lane, which is lost in all ways in which it can be."""

    _lane_url = ""

    @property
    def _client(self) -> redis.Redis:
        store: Any = self._stores[0]
        return redis.Redis.from_url(store._lane._settings.valkey_url)

    @rule()
    def sweep(self) -> None:
        self._runner.run(self._sweep())

    @rule(swept=st.booleans())
    def flush(self, swept: bool) -> None:
        with self._client as client:
            client.flushall()
        if swept and not any(one.lane_down for one in self.lives.mishaps):
            self._runner.run(self._sweep())

    @rule()
    def forget_scripts(self) -> None:
        with self._client as client:
            client.script_flush()

    @rule(down=st.lists(st.booleans(), min_size=2, max_size=2))
    def partition(self, down: list[bool]) -> None:
        """The lane cannot be reached, or can again, by each of the two processes."""
        for one, is_down in zip(self.lives.mishaps, down, strict=True):
            one.lane_down = is_down
        self._runner.run(self._settle())

    async def _settle(self) -> None:
        for one in self.lives.mishaps:
            await one.settled()
        await self._sweep()


def machine_of(backend: str) -> type[LifeMachine]:
    if "hybrid" in backend:
        return HybridMachine
    return ServerMachine if backend in ("valkey", "redis") else LifeMachine


def live(
    machine: type[LifeMachine], ground: Ground, lives: int, steps: int = STEPS, **options: Any
) -> None:
    """Try so many lives.

    Raises:
        AssertionError: a store did not do what the model did; its notes tell the steps.
    """

    def begin() -> LifeMachine:
        return machine(ground)

    settings = hypothesis.settings(
        max_examples=lives,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **options,
    )
    run_state_machine_as_test(begin, settings=settings)  # type: ignore[no-untyped-call]


def _store(settings: Settings, clock: FakeClock) -> JobStore:
    if settings.database_url and settings.valkey_url:
        return HybridStore(settings, clock, STILL)
    return make_store(settings, clock=clock)


# Since the lane is the same on both databases, and both servers run the same scripts.
@pytest.mark.timeout(400 + 10 * LIVES)  # to shrink a failure takes a while
@pytest.mark.parametrize("backend", [name for name in BACKENDS if not name.endswith(("dead", "dying"))])
def test_a_store_does_what_the_model_does(
    backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAUSES", (0.0, 0.0, 0.0))

    @contextlib.contextmanager
    def ground(clock: FakeClock) -> Iterator[Sequence[JobStore]]:
        with BACKENDS[backend](request) as where:
            yield [_store(where, clock) for _ in range(2)]

    live(machine_of(backend), ground, LIVES)
