"""Hot statements: each finds its rows by an index, and is compiled only once."""

import re
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Engine, text

from ferryman.domain.job import Delivery, Progress, WorkerInfo
from ferryman.domain.states import JobState
from ferryman.stores.base import ClaimRequest, JobFilter, ProgressUpdate
from ferryman.stores.sql.hints import Topics
from ferryman.stores.sql.store import SqlStore
from tests.clock import FakeClock
from tests.contract.world import FOR_EVER, World, ending, new_job
from tests.sql.plans import complaints, plan, statements


class Busy(World):
    """A store with enough jobs in every state that a walk over all of them would be a mistake."""

    worker_info: WorkerInfo
    deliveries: list[Delivery]

    async def fill(self, engine: Engine) -> None:
        """Submit, run, end; then let PostgreSQL look at it, as it does by itself in time."""
        self.worker_info = await self.worker(lease=FOR_EVER)
        await self.worker("dying", lease=1)
        for part in range(6):
            fields = {"user": f"u{part}", "expires_in": 1e6}
            await self.submit(*(f"done-{part}-{n}" for n in range(500)), **fields)
            done = await self.claim(by=self.worker_info, limit=500)
            states = [JobState.FAILED if n % 50 == 0 else JobState.SUCCEEDED for n in range(500)]
            endings = [ending(one, state, ttl=1e6) for one, state in zip(done, states, strict=True)]
            await self.store.finish(endings)
            self.clock.advance(1)
        await self.submit(*(f"later-{n}" for n in range(2000)), delay=1e6, queue="other")
        await self.submit(*(f"queued-{n}" for n in range(3000)))
        self.deliveries = await self.claim(by=self.worker_info, limit=50)
        if engine.dialect.name == "postgresql":
            with engine.begin() as connection:
                connection.execute(text("ANALYZE"))


def _request(busy: Busy) -> ClaimRequest:
    return ClaimRequest(worker=busy.worker_info.id, queues=("default", "other"), limit=10)


def _progress(delivery: Delivery) -> ProgressUpdate:
    return ProgressUpdate(
        job_id=delivery.job_id, queue=delivery.queue, token=delivery.token, progress=Progress(1)
    )


async def _meet_holder(busy: Busy) -> None:
    await busy.submit("late", unique="k", on_conflict="return")


async def _look(busy: Busy) -> None:
    assert isinstance(busy.store, SqlStore)
    wanted = Topics(frozenset(["default"]), frozenset(["done-1-1"]))
    await busy.store._look(wanted)


RUNNING = "ferryman_jobs_(running|in_state)"

HOT: dict[str, tuple[Callable[[Busy], Awaitable[object]], tuple[str, ...]]] = {
    "submit": (lambda busy: busy.submit(busy.fresh_id()), ()),
    "meet the holder of a key": (_meet_holder, ("ferryman_jobs_unique",)),
    "claim": (lambda busy: busy.store.claim(_request(busy)), ("ferryman_jobs_queued",)),
    "finish": (lambda busy: busy.finish(busy.deliveries.pop()), ()),
    "finish and claim": (
        lambda busy: busy.store.finish_and_claim([ending(busy.deliveries.pop())], _request(busy)),
        ("ferryman_jobs_queued",),
    ),
    "repeat a finish": (lambda busy: busy.finish(busy.deliveries[0]), ()),
    "report": (lambda busy: busy.store.progress([_progress(busy.deliveries[1])]), ()),
    "renew": (
        lambda busy: busy.store.renew(busy.worker_info, FOR_EVER),
        ("ferryman_jobs_running",),
    ),
    "reap": (lambda busy: busy.store.reap(), (RUNNING,)),
    "promote": (lambda busy: busy.store.promote(), ("ferryman_jobs_scheduled",)),
    "expire": (lambda busy: busy.store.expire(), ("ferryman_jobs_expiring",)),
    "hand back": (
        lambda busy: busy.store.hand_back(busy.worker_info, kill=False),
        ("ferryman_jobs_running",),
    ),
    "prune": (
        lambda busy: busy.store.prune(dead_letter_ttl=1e6, max_history=2000),
        ("ferryman_jobs_deletable", "ferryman_jobs_failed", "ferryman_jobs_ended"),
    ),
    "look for work and for an end": (_look, ("ferryman_jobs_queued",)),
    "get": (lambda busy: busy.store.get(["done-1-1", "queued-7"]), ()),
    "events": (lambda busy: busy.store.events("done-1-1"), ("ferryman_events_of_job",)),
    "page": (lambda busy: busy.store.page(JobFilter()), ("ferryman_jobs_by_age",)),
    "dead letters": (
        lambda busy: busy.store.page(JobFilter(state=JobState.FAILED)),
        ("ferryman_jobs_(in_state|failed)",),
    ),
    "jobs of a user": (
        lambda busy: busy.store.page(JobFilter(user="u3")),
        ("ferryman_jobs_of_user",),
    ),
}


async def test_hot_statements_use_their_indexes(
    store: SqlStore, clock: FakeClock, engine: Engine
) -> None:
    busy = Busy(store, clock)
    await busy.fill(engine)
    await busy.submit("holder", unique="k")
    found: dict[str, list[str]] = {}
    for name, (call, indexes) in HOT.items():
        with statements() as seen:
            await call(busy)
        assert seen, name
        if complained := complaints(engine, seen, indexes):
            found[name] = complained
    assert not found, "\n\n".join(f"{name}:\n" + "\n".join(text) for name, text in found.items())


@pytest.mark.parametrize("name", ["finish", "finish and claim", "report"])
async def test_what_a_token_holds_is_found_by_its_key(
    store: SqlStore, clock: FakeClock, engine: Engine, name: str
) -> None:
    # PostgreSQL's index of running jobs has each one that ran since the last vacuum.
    busy = Busy(store, clock)
    await busy.fill(engine)
    with statements() as seen:
        await HOT[name][0](busy)
    assert not re.search(RUNNING, "\n".join(plan(engine, one) for one in seen))


@pytest.mark.usefixtures("own_database")
async def test_an_index_that_is_missing_is_missed(
    store: SqlStore, clock: FakeClock, engine: Engine
) -> None:
    busy = Busy(store, clock)
    await busy.fill(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ferryman_jobs_queued"))
    call, indexes = HOT["claim"]
    with statements() as seen:
        await call(busy)
    assert complaints(engine, seen, indexes)


def test_a_walk_over_a_table_is_noticed(store: SqlStore, engine: Engine) -> None:
    with statements() as seen, engine.begin() as connection:
        connection.execute(text("SELECT id FROM ferryman_jobs WHERE detail = 'x'"))
    assert complaints(engine, seen, ())


@pytest.mark.parametrize(
    "name", ["submit", "claim", "finish", "finish and claim", "report", "renew", "get"]
)
async def test_hot_statements_are_compiled_once(
    ticking: SqlStore, clock: FakeClock, name: str
) -> None:
    busy = Busy(ticking, clock)
    busy.worker_info = await busy.worker(lease=FOR_EVER)
    await busy.submit(*(f"some-{n}" for n in range(40)))
    busy.deliveries = await busy.claim(by=busy.worker_info, limit=20)
    call, _ = HOT[name]
    await call(busy)
    with statements() as seen:
        await call(busy)
    assert seen
    assert [one.text for one in seen if not one.compiled_before] == []


async def test_a_batch_costs_as_many_statements_as_one(store: SqlStore, clock: FakeClock) -> None:
    world = World(store, clock)
    worker = await world.worker()
    request = ClaimRequest(worker=worker.id, queues=("default",), limit=100)
    counts = []
    for size in (1, 100):
        with statements() as seen:
            await world.store.submit([new_job(f"job-{size}-{n}") for n in range(size)])
            deliveries = await world.store.claim(request)
            await world.store.finish([ending(one) for one in deliveries])
        assert len(deliveries) == size
        counts.append(len(seen))
    assert counts[0] == counts[1] == (3 if store.kind == "postgresql" else 8)
