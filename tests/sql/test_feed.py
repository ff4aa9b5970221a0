"""The feed on PostgreSQL and SQLite, where transactions commit in another order than they began."""

import contextlib
import random
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, select, text, update

from ferryman.domain.job import JobEvent
from ferryman.stores.base import FeedPage
from ferryman.stores.sql.feed import TOLD, Feed
from ferryman.stores.sql.records import to_event
from ferryman.stores.sql.store import SqlStore
from ferryman.stores.sql.tables import events
from tests.contract.test_feed import rest, start
from tests.contract.world import new_job

pytestmark = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)


@pytest.fixture
def open_transaction(engine: Engine, store: SqlStore) -> Iterator[Callable[[], Connection]]:
    """Begins transactions of the application's own, which stay open."""
    with contextlib.ExitStack() as stack:

        def begin() -> Connection:
            connection = stack.enter_context(engine.connect())
            connection.begin()
            return connection

        yield begin


def end(connection: Connection, *, committed: bool) -> None:
    """Bring a transaction to its end."""
    connection.commit() if committed else connection.rollback()
    connection.close()


def ids(found: list[JobEvent]) -> list[str]:
    """The jobs of some events."""
    return [event.job_id for event in found]


async def test_what_is_committed_late_is_told(
    store: SqlStore, open_transaction: Callable[[], Connection]
) -> None:
    cursor = await start(store)
    slow = open_transaction()
    store.submit_in(slow, [new_job("slow-1"), new_job("slow-2")])
    await store.submit([new_job("quick")])
    found, cursor = await rest(store, cursor)
    assert ids(found) == ["quick"]
    slow.commit()
    late, cursor = await rest(store, cursor)
    assert ids(late) == ["slow-1", "slow-2"]
    assert max(event.seq for event in late) < min(event.seq for event in found)
    assert (await rest(store, cursor))[0] == []


async def test_a_cursor_made_while_something_is_under_way_misses_nothing(
    store: SqlStore, open_transaction: Callable[[], Connection]
) -> None:
    slow, rolled_back = open_transaction(), open_transaction()
    store.submit_in(slow, [new_job("slow")])
    store.submit_in(rolled_back, [new_job("never")])
    await store.submit([new_job("before")])
    cursor = await start(store)
    rolled_back.rollback()
    slow.commit()
    assert ids((await rest(store, cursor))[0]) == ["slow"]


async def test_nobody_waits_for_a_long_transaction(
    store: SqlStore, engine: Engine, open_transaction: Callable[[], Connection]
) -> None:
    cursor = await start(store)
    long = open_transaction()
    store.submit_in(long, [new_job("long")])
    # What goes on meanwhile: others begin and end, and one in the middle of it all.
    for number in range(30):
        other = open_transaction()
        store.submit_in(other, [new_job(f"other-{number}")])
        await store.submit([new_job(f"job-{number}")])
        found, cursor = await rest(store, cursor)
        assert ids(found) == [f"job-{number}"]
        end(other, committed=number % 3 > 0)
        found, cursor = await rest(store, cursor)
        assert ids(found) == ([] if number % 3 == 0 else [f"other-{number}"])
    assert len(cursor) < 100, "the cursor grows with what went by"
    long.commit()
    assert ids((await rest(store, cursor))[0]) == ["long"]


async def test_a_transaction_of_the_application_alone_holds_nobody_up(
    store: SqlStore, open_transaction: Callable[[], Connection]
) -> None:
    cursor = await start(store)
    open_transaction().execute(text("CREATE TABLE theirs (id integer)"))
    await store.submit([new_job("a")])
    found, cursor = await rest(store, cursor)
    assert ids(found) == ["a"]
    assert (await rest(store, cursor))[0] == []


async def test_savepoints_are_part_of_their_transaction(
    store: SqlStore, open_transaction: Callable[[], Connection]
) -> None:
    cursor = await start(store)
    slow = open_transaction()
    with slow.begin_nested():
        store.submit_in(slow, [new_job("kept")])
    dropped = slow.begin_nested()
    store.submit_in(slow, [new_job("dropped")])
    dropped.rollback()
    await store.submit([new_job("quick")])
    found, cursor = await rest(store, cursor)
    assert ids(found) == ["quick"]
    slow.commit()
    assert ids((await rest(store, cursor))[0]) == ["kept"]


class _ByNumberAlone(Feed):
    """Planted: goes on behind the highest number, as if numbers were committed in their order."""

    def _page_of_snapshot(self, connection: Connection, since, limit: int) -> FeedPage:  # type: ignore[no-untyped-def]
        above = TOLD.where(events.c.seq > since.seq).order_by(events.c.seq).limit(limit)
        found = tuple(to_event(row) for row in connection.execute(above))
        return FeedPage(found, str(found[-1].seq if found else since.seq))


class _UntilTheNextNumber(Feed):
    """Planted: takes the end of a snapshot for the end of all numbers that were given away."""

    def _page_of_snapshot(self, connection: Connection, since, limit: int) -> FeedPage:  # type: ignore[no-untyped-def]
        here = connection.execute(self._here).one()
        since = since._replace(following=here.following)
        return super()._page_of_snapshot(connection, since, limit)


class _Forgetful(Feed):
    """Planted: does not look for what those wrote who were under way."""

    def _page_of_snapshot(self, connection: Connection, since, limit: int) -> FeedPage:  # type: ignore[no-untyped-def]
        return super()._page_of_snapshot(connection, since._replace(running=()), limit)


async def storm(store: SqlStore, engine: Engine, seed: int) -> list[JobEvent]:
    """Transactions that commit in a random order while one reads; all that it read."""
    rng = random.Random(seed)
    cursor = await start(store)
    seen: list[JobEvent] = []

    async def read(times: int) -> None:
        nonlocal cursor
        for _ in range(times):
            page = await store.feed(cursor, limit=rng.choice((1, 3, 500)))
            seen.extend(page.events)
            cursor = page.cursor

    with contextlib.ExitStack() as stack:
        under_way: list[Connection] = []
        for number in range(60):
            if len(under_way) < 4:
                connection = stack.enter_context(engine.connect())
                connection.begin()
                under_way.append(connection)
            store.submit_in(rng.choice(under_way), [new_job(f"job-{number}")])
            if rng.random() < 0.3:
                done = under_way.pop(rng.randrange(len(under_way)))
                end(done, committed=rng.random() < 0.8)
            await read(rng.randrange(3))
        for connection in under_way:
            connection.commit()
    await read(200)
    return seen


def faults(seen: list[JobEvent], engine: Engine) -> int:
    """How many events are missing, or came twice."""
    with engine.connect() as connection:
        there = {row.seq for row in connection.execute(select(events.c.seq))}
    numbers = [event.seq for event in seen]
    return len(numbers) - len(set(numbers)) + len(there ^ set(numbers))


@pytest.mark.parametrize("seed", range(3))
async def test_random_commits_leave_no_gap_and_no_repeat(
    store: SqlStore, engine: Engine, seed: int
) -> None:
    seen = await storm(store, engine, seed)
    assert len(seen) > 20
    assert faults(seen, engine) == 0


@pytest.mark.parametrize("planted", [_ByNumberAlone, _UntilTheNextNumber, _Forgetful])
async def test_a_reader_that_trusts_too_much_is_caught(
    store: SqlStore, engine: Engine, planted: type[Feed]
) -> None:
    store._feed = planted(store._dialect)
    assert faults(await storm(store, engine, 1), engine) > 0


async def test_numbers_of_another_server_are_forgotten(store: SqlStore, engine: Engine) -> None:
    await store.submit([new_job("a"), new_job("b")])
    with engine.begin() as connection:  # as after a restore on a server that did less
        connection.execute(update(events).values(xact=2**40))
    cursor = await start(store)
    with engine.begin() as connection:
        left = connection.execute(select(events.c.xact).distinct()).scalars().all()
    assert left == [None]
    await store.submit([new_job("c")])
    assert ids((await rest(store, cursor))[0]) == ["c"]


async def test_a_database_that_is_older_than_the_cursor_is_told(
    store: SqlStore, engine: Engine
) -> None:
    await store.submit([new_job("a")])
    page = await store.feed("4000000000000.4000000000000")
    assert page.reset
    await store.submit([new_job("b")])
    assert ids((await rest(store, page.cursor))[0]) == ["b"]
