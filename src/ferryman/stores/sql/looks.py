"""What people look at: jobs, events, queues, workers, figures; and those who wait for a change."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from datetime import datetime

from ferryman.domain.errors import StoreError
from ferryman.domain.figures import Figures
from ferryman.domain.job import Job, JobEvent, QueueInfo, WorkerStatus
from ferryman.domain.operators import ActionPage, ApiKey, OperatorAction
from ferryman.settings import Settings, embedded_database_url
from ferryman.stores.base import Clock, FeedPage, Finding, JobFilter, Judge, Page
from ferryman.stores.sql import doctor
from ferryman.stores.sql.counts import QueueCounts
from ferryman.stores.sql.dialect import Dialect
from ferryman.stores.sql.engine import Engines, kind_of, parse_url
from ferryman.stores.sql.feed import Feed
from ferryman.stores.sql.figures import Ledger
from ferryman.stores.sql.hints import Hints, Signal, Topics, Wake
from ferryman.stores.sql.operators import Operators
from ferryman.stores.sql.readers import Readers
from ferryman.stores.sql.records import moment, since_epoch
from ferryman.stores.sql.signals import PostgresqlSignal, SqliteSignal
from ferryman.stores.tally import Counts, Tally, kept_step, to_figures


class Looks:
    """The verbs of those who look, and the ground on which the whole store stands."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._embedded = settings.database_url is None
        self._database_url = settings.database_url or embedded_database_url()
        self._url = parse_url(self._database_url)
        self._dialect = Dialect(kind_of(self._url), clock)
        self._engines = Engines(self._url, settings.store_timeout)
        self._readers = Readers(self._dialect)
        self._feed = Feed(self._dialect)
        self._counts = QueueCounts(self._dialect)
        self._counting: asyncio.Task[None] | None = None
        self._ledger = Ledger(self._dialect)
        self._tally = Tally(self._write_counts, clock)
        self._operators = Operators(self._dialect)
        self._hints = Hints(self._look, self._signal)

    async def _close_looks(self) -> None:
        counting, self._counting = self._counting, None
        if counting is not None:
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
        await self._tally.close()
        await self._hints.close()

    @property
    def kind(self) -> str:
        """`"sqlite"` or `"postgresql"`."""
        return self._dialect.kind

    async def check(self) -> list[Finding]:
        """See `JobStore.check`."""
        return await self._engines.read.run(doctor.findings)

    async def now(self) -> datetime:
        """See `JobStore.now`."""
        return moment(await self._engines.read.run_repeatable(self._readers.now))

    # -- readers ---------------------------------------------------------------------------

    async def get(self, ids: Sequence[str]) -> list[Job | None]:
        """See `JobStore.get`."""
        if not ids:
            return []
        return await self._engines.read.run_repeatable(self._readers.get, ids)

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        """See `JobStore.page`."""
        work = self._readers.page
        return await self._engines.read.run_repeatable(work, where, limit, cursor, accepts)

    async def count(self, where: JobFilter) -> int:
        """See `JobStore.count`."""
        return await self._engines.read.run_repeatable(self._readers.count, where)

    async def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[JobEvent]:
        """See `JobStore.events`."""
        work = self._readers.events
        return await self._engines.read.run_repeatable(work, job_id, after, limit)

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        """See `JobStore.feed`."""
        return await self._engines.read.run_repeatable(self._feed.page, cursor, limit)

    async def workers(self) -> list[WorkerStatus]:
        """See `JobStore.workers`."""
        return await self._engines.read.run_repeatable(self._readers.workers)

    async def queues(self) -> list[QueueInfo]:
        """See `JobStore.queues`."""
        read = self._engines.read.run_repeatable
        known, stale = await read(self._counts.look)
        if known is None:
            return await self._count()
        if stale and self._counting is None:
            self._counting = asyncio.create_task(self._count_unseen())
        return known

    async def _count(self) -> list[QueueInfo]:
        known, kept = await self._engines.read.run_repeatable(self._counts.count)
        if kept is not None:
            await self._engines.alone.run_repeatable(self._counts.keep, kept)
        return known

    async def _count_unseen(self) -> None:
        try:
            with contextlib.suppress(StoreError):
                _, kept = await self._engines.read.run_repeatable(self._counts.count)
                await self._engines.alone.run_repeatable(self._counts.keep, kept)
        finally:
            self._counting = None

    async def figures(self, since: datetime, step: int) -> list[Figures]:
        """See `JobStore.figures`."""
        kept = kept_step(step)
        await self._tally.flush()
        moment_of = since_epoch(since) // (step * 1000) * step * 1000
        read = self._engines.read.run_repeatable
        return to_figures(await read(self._ledger.since, moment_of, kept), step)

    async def _write_counts(self, counts: Counts) -> None:
        await self._engines.write.run(self._ledger.add, counts)

    # -- operators -------------------------------------------------------------------------

    async def keys(self) -> list[ApiKey]:
        """See `JobStore.keys`."""
        return await self._engines.read.run_repeatable(self._operators.keys)

    async def key(self, id: str) -> ApiKey | None:
        """See `JobStore.key`."""
        return await self._engines.read.run_repeatable(self._operators.key, id)

    async def add_key(self, key: ApiKey) -> ApiKey:
        """See `JobStore.add_key`."""
        return await self._engines.write.run(self._operators.add_key, key)

    async def revoke_key(self, id: str) -> bool:
        """See `JobStore.revoke_key`."""
        return await self._engines.alone.run(self._operators.revoke_key, id)

    async def record(self, action: OperatorAction) -> None:
        """See `JobStore.record`."""
        await self._engines.write.run(self._operators.record, action)

    async def actions(self, *, limit: int = 50, cursor: str | None = None) -> ActionPage:
        """See `JobStore.actions`."""
        return await self._engines.read.run_repeatable(self._operators.actions, limit, cursor)

    # -- hints -----------------------------------------------------------------------------

    async def wait_for_work(self, queues: Sequence[str], timeout: float) -> None:
        """See `JobStore.wait_for_work`."""
        await self._hints.wait(Topics(queues=frozenset(queues)), timeout)

    async def wait_for_events(self, timeout: float) -> None:
        """See `JobStore.wait_for_events`."""
        await self._hints.wait(Topics(events=True), timeout)

    async def wait_for_end(self, job_id: str, timeout: float) -> Job | None:
        """See `JobStore.wait_for_end`."""
        deadline = time.monotonic() + timeout
        while True:
            (job,) = await self.get([job_id])
            left = deadline - time.monotonic()
            if job is None or job.state.terminal or left <= 0:
                return job
            await self._hints.wait(Topics(jobs=frozenset([job_id])), left)

    def _signal(self, wake: Wake) -> Signal:
        if self._dialect.kind == "sqlite":
            return SqliteSignal(self._url)
        return PostgresqlSignal(self._url, wake, self._engines.alone.run)

    async def _look(self, wanted: Topics) -> Topics:
        return await self._engines.read.run_repeatable(self._readers.look, wanted)
