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
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from redis import Redis
from sqlalchemy import URL, Connection

from ferryman.domain.errors import JobExists
from ferryman.domain.job import NewJob, Submitted, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.settings import Settings
from ferryman.stores import JobStore, make_store
from ferryman.stores.base import Verdict
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.sql import looks
from ferryman.stores.sql.engine import Engines
from ferryman.stores.sql.tables import metadata
from ferryman.stores.valkey import connection
from tests.backends import BACKENDS
from tests.clock import FakeClock
from tests.contract import test_planted as planted
from tests.contract.lives import IDS, QUEUES, SLOTS, Lives
from tests.contract.mishaps import STILL, Slip
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData
from tests.contract.world import REASONS

LIVES = int(os.environ.get("RANDOM_LIVES", "5"))
STEPS = 50

Step = st.SearchStrategy[tuple[str, dict[str, Any]]]

# A lane that is dead or dying here is so by a step.
ALL = [name for name in BACKENDS if not name.endswith(("dead", "dying"))]

ENDINGS = [*REASONS.items(), (JobState.QUEUED, Reason.RETRY)]

by = st.sampled_from([0, 1])
yes_or_no = st.booleans()
slot = st.integers(0, SLOTS - 1)
some = st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)
few = st.lists(st.sampled_from(IDS), max_size=1)
one = st.lists(
    st.sampled_from(IDS), min_size=1, max_size=1
)  # of several that one call queues, which goes first is open
queue = st.sampled_from(QUEUES)
delay = st.sampled_from([0.0, 0.0, 0.0, 5.0, 20.0])
later = st.sampled_from([0.0, 8.0])
which = st.lists(st.sampled_from([0, 0, 1, 1, 2, 3, 7]), min_size=1, max_size=2)
job = st.fixed_dictionaries(
    {
        "job_id": st.sampled_from(IDS),
        "priority": st.sampled_from([0, -10, 10]),
        "delay": delay,
        "expires_in": st.sampled_from([None, 7.0]),
        "unique": st.sampled_from([None, "k"]),
        "on_conflict": st.sampled_from(["refuse", "return"]),
        "held": st.sampled_from([False] * 7 + [True]),
    }
)
plain = some.map(lambda ids: [{"job_id": one} for one in ids])
fed: st.SearchStrategy[list[dict[str, str]]] = st.one_of(st.just([]), plain)
ending = st.builds(
    lambda ends, **more: {"state": ends[0], "reason": ends[1], **more},
    st.sampled_from(ENDINGS),
    delay=delay,
    ttl=st.sampled_from([None, 4.0]),
    charge=st.integers(0, 1),
)
mishap = st.builds(
    Slip,
    part=st.sampled_from(["truth", "truth", "lane"]),
    lost=yes_or_no,
    at=st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
    times=st.sampled_from([1, 2, 9]),
)
often = st.sampled_from([True, True, True, False])
cuts = st.sampled_from([(False, False), (False, False), (True, True), (True, False)])
slip = st.one_of(st.none(), st.none(), mishap)


def _verb(name: str, **arguments: Any) -> Step:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


def _call(name: str, **arguments: Any) -> Step:
    return _verb(name, **arguments, by=by, slip=slip)


claim = _call(
    "claim",
    slot=slot,
    limit=st.integers(1, 4),
    backwards=yes_or_no,
    fresh=often,
    looks=yes_or_no,
    fed=fed,
)

WEIGHTS: list[tuple[int, Step]] = [
    (5, _verb("advance", seconds=st.sampled_from([0.512, 3.2, 3.2, 6.4, 6.4, 40.0]))),
    (12, _call("submit", jobs=st.lists(job, min_size=1, max_size=2))),
    (8, _call("submit", jobs=plain)),
    (18, claim),
    (14, _call("finish", which=which, fields=ending)),
    (
        8,
        _call(
            "finish_and_claim",
            which=which,
            fields=ending,
            slot=slot,
            limit=st.integers(1, 2),
            fresh=often,
            looks=yes_or_no,
        ),
    ),
    (5, _call("hand_back", slot=slot, kill=yes_or_no, spare=few, keep=few, fed=fed)),
    (3, _call("progress", which=which, current=st.integers(0, 7))),
    (4, _call("renew", slot=slot)),
    (2, _call("restart", slot=slot, unregister=yes_or_no)),
    (4, _verb("zombie", slot=slot, reaped=yes_or_no, fields=ending, by=by)),
    (7, _call("cancel", ids=some)),
    (8, _call("retry", ids=one, args=st.sampled_from([None, b"new"]))),
    (3, _call("discard", ids=some)),
    (2, _call("admit", ids=one)),
    (3, _call("reap", after=later)),
    (5, _call("promote", after=later)),
    (4, _call("expire", after=later)),
    (
        2,
        _call(
            "prune",
            max_history=st.sampled_from([None, None, 0]),
            ttl=st.sampled_from([None, 5.0]),
        ),
    ),
    (1, _call("pause", queue=queue)),
    (3, _call("resume", queue=queue)),
    (1, _call("purge", queue=queue)),
    (2, _verb("forget_scripts")),
    (3, _verb("flush", swept=yes_or_no)),
    (
        3,
        _verb(
            "partition", down=st.sampled_from([(False, False)] * 2 + [(True, True), (True, False)])
        ),
    ),
    (3, _verb("sweep")),
]
"""What may happen, and how often."""

steps = st.sampled_from([step for weight, step in WEIGHTS for _ in range(weight)]).flatmap(
    lambda step: step
)


class Ground:
    """What lives are tried on, one after another; this one is two views of the model.

    Args:
        kind: the model, or a copy of it that has a fault.

    Attributes:
        client: the Valkey or Redis server, if there is one.
    """

    client: Redis | None = None

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
    """Servers. Connections and compiled statements outlive each life: new ones would cost more."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._settings = settings
        self._engines: list[Engines] = []
        self._unused: list[Engines] = []
        url = settings.valkey_url
        if url is not None:
            self.client = Redis.from_url(url)
        patch.setattr(looks, "Engines", self._connected)
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
    """One life on one ground.

    There is one rule, since hypothesis leaves out some of several in each life, and a life without
    claims or without submits shows nothing.
    """

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self._run = ground.runner.run
        self._differs = False
        clock = FakeClock()
        self.lives = Lives(ground.stores(clock), clock, ground.client)
        self._run(self.lives.begin())

    @rule(step=steps)
    def live(self, step: tuple[str, dict[str, Any]]) -> None:
        self._differs = True
        self._run(self.lives.step(*step))
        self._differs = False

    def teardown(self) -> None:
        self._run(self._end())

    async def _end(self) -> None:
        try:
            if not self._differs:
                await self.lives.end()
        finally:
            await self.lives.close()


def live(ground: Ground, lives: int, **options: Any) -> None:
    """Try so many lives.

    Raises:
        AssertionError: a store did not do what the model did; what is printed tells the steps.
    """
    settings = hypothesis.settings(
        max_examples=lives + 1,  # the first one takes the same simple step again and again
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
        **options,
    )
    try:
        begin: Any = lambda: LifeMachine(ground)  # noqa: E731 - its type wants the class
        run_state_machine_as_test(begin, settings=settings)
    finally:
        ground.close()


@pytest.mark.timeout(400 + 10 * LIVES)  # to shrink a failure takes a while
@pytest.mark.parametrize(
    "backend", [one for one in BACKENDS if not one.endswith(("dead", "dying"))]
)
def test_a_store_does_what_the_model_does(
    backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with BACKENDS[backend](request) as where:
        live(RealGround(where, monkeypatch), LIVES)


class ChargedTwice(ModelStore):
    """An ending that is repeated is counted again."""

    def _finish(self, ending: Ending) -> Verdict:
        record = self.data.records.get(ending.job_id)
        if record and record.ending == ending:
            record.set(attempts=record.job.attempts + ending.charge)
        return super()._finish(ending)


class KilledTwice(ModelStore):
    """A hand-back that is repeated charges what went back by the first."""

    async def hand_back(self, worker: WorkerInfo, **how: Any) -> list[tuple[str, JobState]]:
        for record in self.data.records.values():
            last = record.events[-2:]
            mine = last[0].worker == worker.id and last[-1].reason is Reason.LEASE_LOST
            if how["kill"] and mine:
                record.set(kills=record.job.kills + 1)
        return await super().hand_back(worker, **how)


class LostForGood(ModelStore):
    """A worker that looks what it runs is not told of what it does not know."""

    async def hand_back(self, worker: WorkerInfo, **how: Any) -> list[tuple[str, JobState]]:
        return [] if how.get("keep") else await super().hand_back(worker, **how)


class KeptForGood(ModelStore):
    """Ids that a worker keeps go back as well."""

    async def hand_back(self, worker: WorkerInfo, **how: Any) -> list[tuple[str, JobState]]:
        return await super().hand_back(worker, **how | {"keep": ()})


class StopTakenBack(ModelStore):
    """A request to stop that is repeated takes itself back."""

    def _cancel(self, job_id: str, by: str) -> Verdict:
        record = self.data.records.get(job_id)
        asked = record is not None and record.job.cancel_requested
        verdict = super()._cancel(job_id, by)
        if record and asked:
            record.set(cancel_requested=False)
        return verdict


class RefusedByItself(ModelStore):
    """A submit that is repeated meets its own job, which holds the unique key."""

    def _take_in(self, new: NewJob) -> Submitted:
        if new.unique and new.on_conflict == "refuse" and new.id in self.data.records:
            raise JobExists("held by itself", new.id)
        return super()._take_in(new)


class Orphaned(ModelStore):
    """The reaper passes over the jobs of a worker that is not known any more."""

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        leases = dict(self.data.leases)
        known = self.data.where(lambda job: job.worker in leases and not self._live(job.worker))
        return [self._give_back(one, True, True) for one in known if one.job.state == "running"]


class ReapedToTheEnd(ModelStore):
    """Reaped jobs wait behind all others."""

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        reaped = await super().reap(limit)
        for job_id, _ in reaped:
            self.data.place_last(self.data.records[job_id], self.clock())
        return reaped


@pytest.mark.parametrize("faulty", [
    ChargedTwice, KilledTwice, LostForGood, KeptForGood, StopTakenBack, RefusedByItself,
    Orphaned, ReapedToTheEnd,
    planted.NoTokenCheck, planted.NoMemoryOfEndings, planted.DeafToCancel, planted.LeaseRevived,
    planted.ClaimWithoutLease, planted.EagerReaper, planted.KillsNotCounted,
    planted.ShutdownsCounted, planted.BackToTheEnd, planted.NoPriorities, planted.LastInFirstOut,
    planted.PauseForgotten, planted.KeyNeverReleased,
    planted.SubmitOverwrites,
    planted.ProgressUnderAnyToken, planted.EventsForgotten,

])  # fmt: skip
def test_a_fault_shows_in_some_life(faulty: type[ModelStore]) -> None:
    with pytest.raises(AssertionError):
        live(Ground(faulty), 1000, derandomize=True, database=None, phases=[Phase.generate])


def test_the_model_does_what_the_model_does() -> None:
    live(Ground(), LIVES)
