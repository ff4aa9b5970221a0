"""Random lives of jobs on each store and on the model, step by step the same, whatever happens.

A state machine of hypothesis: its steps are the verbs of the protocol, with small numbers, so that
ids, keys, workers and tokens collide often, and with mishaps. Nothing that is drawn depends on what
a store answered, and nothing on the time that a step takes. `RANDOM_LIVES=1000` tries more lives.
"""

import asyncio
import os
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from redis import Redis
from sqlalchemy import URL, Connection

from ferryman.domain.states import JobState, Reason
from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.sql import store as sql_store
from ferryman.stores.sql.engine import Engines
from ferryman.stores.sql.tables import metadata
from ferryman.stores.valkey import connection
from tests.backends import BACKENDS
from tests.clock import FakeClock
from tests.contract.lives import IDS, QUEUES, SLOTS, Lives
from tests.contract.mishaps import STILL, Slip
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.contract.world import REASONS

LIVES = int(os.environ.get("RANDOM_LIVES", "8"))
STEPS = 50

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


class Ground:
    """What lives are tried on, one after another; this one is two views of the model.

    Args:
        kind: the model, or a copy of it that has a fault.
    """

    def __init__(self, kind: type[ModelStore] = ModelStore) -> None:
        self.runner = asyncio.Runner()
        self._kind = kind

    def stores(self, clock: FakeClock) -> list[JobStore]:
        """The stores of two processes, which know no job, and are not yet opened."""
        data = ModelData()
        return [self._kind(data, clock) for _ in range(2)]

    def close(self) -> None:
        """Let go of all that the lives shared."""
        self.runner.close()


class RealGround(Ground):
    """Servers. Connections and compiled statements outlive each life, which would cost more else.

    Attributes:
        client: the Valkey or Redis server, if there is one.
    """

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._settings = settings
        self._engines: list[Engines] = []
        self._unused: list[Engines] = []
        url = settings.valkey_url
        self.client = None if url is None else Redis.from_url(url)
        patch.setattr(sql_store, "Engines", self._connected)
        patch.setattr(connection, "PAUSES", (0.0, 0.0, 0.0))

    def stores(self, clock: FakeClock) -> list[JobStore]:
        where = self._settings
        if self.client is not None:
            self.client.flushall()
        if self._engines:
            self.runner.run(self._engines[0].write.run(_empty))
        if where.database_url and where.valkey_url:
            return [HybridStore(where, clock, STILL) for _ in range(2)]
        return [make_store(where, clock=clock) for _ in range(2)]

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
        for engines in self._engines:
            self.runner.run(Engines.close(engines))
        super().close()

    def _connected(self, url: URL, timeout: float) -> Engines:
        if self._unused:
            return self._unused.pop(0)
        engines = Engines(url, timeout)

        async def given_back() -> None:
            self._unused.append(engines)

        engines.close = given_back  # type: ignore[method-assign]
        self._engines.append(engines)
        return engines


def _empty(database: Connection) -> None:
    for table in reversed(metadata.sorted_tables):
        database.execute(table.delete())


class LifeMachine(RuleBasedStateMachine):
    """One life on one ground."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        self._run = ground.runner.run
        self._differs = False
        clock = FakeClock()
        self._stores = ground.stores(clock)
        self.lives = Lives(self._stores, clock)
        self._run(self._begin())

    async def _begin(self) -> None:
        for store in self._stores:
            await store.open()
        await self.sweep_now()
        await self.lives.begin()

    async def sweep_now(self) -> None:
        """Fill the lane, if there is one."""
        # Always in the same process: of several one compares the lane, whichever comes first.
        if isinstance(self._stores[0], HybridStore):
            await self._stores[0].sweep()

    async def _end(self) -> None:
        try:
            if not self._differs:
                await self.lives.end()
        finally:
            await self.lives.close()

    def teardown(self) -> None:
        self._run(self._end())

    def _step(self, verb: str, **arguments: Any) -> None:
        self._differs = True
        self._run(self.lives.step(verb, arguments))
        self._differs = False

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


class ServerMachine(LifeMachine):
    """One life on a Valkey or Redis server, which may forget its scripts."""

    @property
    def client(self) -> Redis:
        """The server."""
        assert isinstance(self.ground, RealGround)
        assert self.ground.client is not None
        return self.ground.client

    @rule()
    def forget_scripts(self) -> None:
        self.client.script_flush()


class HybridMachine(ServerMachine):
    """One life on a database with a lane, which may be lost in every way."""

    @rule()
    def sweep(self) -> None:
        self._run(self.sweep_now())

    @rule(swept=st.booleans())
    def flush(self, swept: bool) -> None:
        self.client.flushall()
        if swept:
            self.sweep()

    @rule(down=st.sampled_from([(False, False), (False, False), (True, True), (True, False)]))
    def partition(self, down: tuple[bool, bool]) -> None:
        """The lane cannot be reached, or can again, by each of the two processes."""
        for one, is_down in zip(self.lives.mishaps, down, strict=True):
            one.lane_down = is_down
        self._run(self._settle())

    async def _settle(self) -> None:
        for one in self.lives.mishaps:
            await one.settled()
        await self.sweep_now()


def machine_of(backend: str) -> type[LifeMachine]:
    if "hybrid" in backend:
        return HybridMachine
    return ServerMachine if backend in ("valkey", "redis") else LifeMachine


def live(machine: type[LifeMachine], ground: Ground, lives: int, **options: Any) -> None:
    """Try so many lives.

    Raises:
        AssertionError: a store did not do what the model did; what is printed tells the steps.
    """
    settings = hypothesis.settings(
        max_examples=lives + 1,  # the first one takes the same simple step again and again
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **options,
    )
    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            lambda: machine(ground), settings=settings
        )
    finally:
        ground.close()


@pytest.mark.timeout(400 + 10 * LIVES)  # to shrink a failure takes a while
@pytest.mark.parametrize("backend", [one for one in BACKENDS if not one.endswith(("dead", "dying"))])
def test_a_store_does_what_the_model_does(
    backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BACKENDS[backend](request) as where:
        live(machine_of(backend), RealGround(where, monkeypatch), LIVES)
