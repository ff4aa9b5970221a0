"""Mishaps between a store and its servers, at a call that the test chooses; none takes any time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from ferryman.domain.errors import StoreUnavailable
from ferryman.stores import JobStore
from ferryman.stores.hybrid.store import HybridStore
from ferryman.stores.hybrid.tuning import Tuning
from ferryman.stores.sql.engine import Runner
from ferryman.stores.sql.store import SqlStore
from ferryman.stores.valkey.connection import Link
from ferryman.stores.valkey.store import ValkeyStore
from tests.contract.model import ModelStore

FOR_EVER = 1e6
STILL = Tuning(
    enqueue_wait=FOR_EVER,
    call_limit=FOR_EVER,
    hold=FOR_EVER,
    settle_after=FOR_EVER,
    fill_every=0.0,
    probe_first=0.001,
    probe_longest=0.002,
    steady=0.0,
)
"""A lane that nothing happens to because of the time that a test takes."""

Part = Literal["truth", "lane"]


class Slip(NamedTuple):
    """A mishap of one operation.

    Attributes:
        part: what breaks: the server that has the jobs, or the lane.
        lost: the server did the call, and its reply is lost; else the call never reached it.
        at: which of the operation's calls to that server.
        times: how many in a row; a store makes some calls again by itself.
    """

    part: Part
    lost: bool
    at: int
    times: int


class Mishaps:
    """The mishaps of one store.

    Attributes:
        lane_down: no call reaches the lane.
        met: the slip of the last operation, if it came about.
    """

    def __init__(self, store: JobStore) -> None:
        self.lane_down = False
        self.met: Slip | None = None
        self._store = store
        self._slip: Slip | None = None
        self._calls = 0
        self._undo = contextlib.ExitStack()
        if isinstance(store, SqlStore):
            engines = store._engines
            for runner in {engines.read, engines.write, engines.alone, engines.beat}:
                self._watch_runner(runner, commits_each=runner is engines.alone)
        if isinstance(store, HybridStore):
            self._watch_link(store._lane._link, "lane")
            store._sweep.kick = lambda: None  # type: ignore[method-assign]  # when it is its turn
        if isinstance(store, ValkeyStore):
            self._watch_link(store._link, "truth")

    def prepare(self, slip: Slip | None) -> None:
        """Let the next calls meet this."""
        self._slip, self._calls, self.met = slip, 0, None

    def end(self) -> None:
        """Leave the connections, which others will use, as they were."""
        self._undo.close()

    def disarm(self) -> None:
        """Let the next calls meet nothing."""
        self._slip = None

    async def settled(self) -> None:
        """Nothing is left over: what the operation began is done, and what came back is used."""
        if not isinstance(self._store, HybridStore):
            return
        async with asyncio.timeout(30):
            relay, breaker = self._store._relay, self._store._breaker
            while relay._sending is not None:
                await relay._sent.wait()
            if not self.lane_down and not breaker.closed:
                await breaker.until_closed()
                assert breaker._task is not None
                await breaker._task

    def befell(self, part: Part) -> bool:
        """Whether the slip of the last operation came about, and there."""
        return self.met is not None and self.met.part == part

    async def asked(self, ask: Callable[[JobStore], Awaitable[Any]]) -> Any:
        """Ask the store. The model has no connections, so what it is asked is one call.

        Raises:
            StoreUnavailable: the call, or its reply, is lost.
        """
        if not isinstance(self._store, ModelStore):
            return await ask(self._store)
        if self._meets("truth", lost=False):
            raise StoreUnavailable("cut before the call")
        answer = await ask(self._store)
        if self._meets("truth", lost=True):
            raise StoreUnavailable("cut after the call")
        return answer

    def _meets(self, part: Part, *, lost: bool) -> bool:
        slip = self._slip
        if slip is None or (slip.part, slip.lost) != (part, lost):
            return False
        self._calls += 1
        meets = slip.at < self._calls <= slip.at + slip.times
        self.met = slip if meets else self.met
        return meets

    # -- on the way to Valkey ----------------------------------------------------------------

    def _watch_link(self, link: Link, part: Part) -> None:
        exchange = link._exchange

        async def watched(commands: Any) -> list[Any]:
            if (part == "lane" and self.lane_down) or self._meets(part, lost=False):
                raise RedisConnectionError("cut before the call")
            replies = await exchange(commands)
            if self._meets(part, lost=True):
                raise RedisConnectionError("cut after the call")
            return replies

        link._exchange = watched  # type: ignore[method-assign]

    # -- on the way to a database ------------------------------------------------------------

    def _watch_runner(self, runner: Any, *, commits_each: bool) -> None:
        """Statements do not reach the server; or the reply to a commit is lost.

        Where each statement commits by itself, as on PostgreSQL some do, each reply can be lost.
        """
        engine = getattr(runner._engine, "sync_engine", runner._engine)
        commits_each = commits_each and engine.dialect.name == "postgresql"

        def before(*_: Any) -> None:
            if self._meets("truth", lost=False):
                raise _broken("before the call")

        def after(*_: Any) -> None:
            if self._meets("truth", lost=True):
                raise _broken("after the call")

        self._listen(engine, "before_cursor_execute", before)
        if commits_each:
            self._listen(engine, "after_cursor_execute", after)
        else:
            self._watch_commits(runner, after)

    def _listen(self, engine: Any, name: str, listener: Callable[..., None]) -> None:
        event.listen(engine, name, listener)
        self._undo.callback(event.remove, engine, name, listener)

    def _watch_commits(self, runner: Runner, after: Callable[[], None]) -> None:
        once: Callable[..., Awaitable[Any]] = runner._once

        async def watched(*work: Any) -> Any:
            result = await once(*work)
            after()
            return result

        runner._once = watched  # type: ignore[method-assign, assignment]
        self._undo.callback(delattr, runner, "_once")


def _broken(when: str) -> OperationalError:
    """As SQLAlchemy says it of a connection that it can use no more."""
    return OperationalError(f"cut {when}", {}, Exception(when), connection_invalidated=True)
