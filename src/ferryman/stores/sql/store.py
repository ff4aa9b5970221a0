"""The SQL store: the protocol on SQLite or PostgreSQL.

Every operation is a synchronous function of a SQLAlchemy connection, and is written once. Here it
is run: in a transaction of the store's own, or in the one that the caller passes.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ferryman.domain.errors import LeaseLost, StoreUnavailable
from ferryman.domain.job import (
    Delivery,
    NewJob,
    Submitted,
    WorkerInfo,
)
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState
from ferryman.settings import Settings
from ferryman.stores.base import (
    ClaimRequest,
    Clock,
    Pace,
    ProgressUpdate,
    Renewal,
    Verdict,
)
from ferryman.stores.gathering import Answer, Gathering
from ferryman.stores.sql import doctor
from ferryman.stores.sql.deliveries import Deliveries
from ferryman.stores.sql.endings import Endings
from ferryman.stores.sql.faults import shown, translated
from ferryman.stores.sql.looks import Looks
from ferryman.stores.sql.moves import Moves
from ferryman.stores.sql.places import Place, Places
from ferryman.stores.sql.producers import Intake, Producers
from ferryman.stores.sql.reports import Reports
from ferryman.stores.sql.returns import Returned, Returns
from ferryman.stores.sql.steering import Steering
from ferryman.stores.sql.tables import REVISION
from ferryman.stores.sql.transactions import join, join_async, when_committed
from ferryman.stores.sql.upkeep import Upkeep

_PURGED_AT_ONCE = 1000


class SqlStore(Looks):
    """Jobs in SQLite (one host) or PostgreSQL.

    Args:
        settings: `database_url` says where; without one it is the embedded SQLite file.
        clock: epoch milliseconds, instead of the database's clock.

    Raises:
        ConfigError: the URL names no database that is supported, or its driver is not installed.
    """

    _tells_places = False
    """Whether `_announce_work` is to be told where new jobs stand."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        super().__init__(settings, clock)
        moves = Moves(self._dialect)
        self._places = Places(self._dialect)
        places = self._places if self._tells_places else None
        self._producers = Producers(self._dialect, moves, places)
        self._endings = Endings(self._dialect, moves)
        self._reports = Reports(self._dialect, self._endings)
        self._deliveries = Deliveries(self._dialect, moves, self._endings)
        self._returns = Returns(self._dialect, moves)
        self._steering = Steering(self._dialect, moves)
        self._upkeep = Upkeep(self._dialect, moves, self._steering)
        self._singles: Gathering[NewJob] = Gathering(self._submit_each, _size)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def pace(self) -> Pace:
        """Endings wait to share a transaction.

        Two of PostgreSQL are under way at once: while a process of the server works, the worker
        does. SQLite has one writer.
        """
        exchanges = 2 if self._dialect.postgresql else 1
        return Pace(exchanges=exchanges, linger=self._settings.linger)

    # -- life ------------------------------------------------------------------------------

    async def open(self) -> None:
        """See `JobStore.open`. A new SQLite file, and the embedded one, get their tables here."""
        try:
            self._make_folder()
            sqlite = self._dialect.kind == "sqlite"
            if sqlite and await self._engines.read.run(self._makes_its_tables):
                await self.migrate()
            await self._engines.read.run(doctor.require_sound, self._settings.allow)
        except BaseException:
            await self.close()
            raise
        self._loop = asyncio.get_running_loop()

    def _make_folder(self) -> None:
        if self._dialect.kind == "postgresql":
            return
        folder = Path((self._url.database or "").removeprefix("file:")).parent
        if self._embedded:
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            text = f"the database {shown(self._url)} cannot be reached: make the folder {folder}"
            raise StoreUnavailable(text)

    def _makes_its_tables(self, connection: Connection) -> bool:
        return doctor.is_empty(connection) or (
            self._embedded and (doctor.schema_version(connection) or "") < REVISION
        )

    async def close(self) -> None:
        """See `JobStore.close`."""
        await self._close_looks()
        await self._engines.close()
        self._loop = None

    async def migrate(self) -> None:
        """Bring the tables up to date, or make them; needs no open store.

        Raises:
            StoreUnavailable, StoreError: the database cannot be reached, or refuses.
        """
        self._make_folder()
        with translated(self._url):
            await asyncio.to_thread(_upgrade, self._database_url)

    async def schema_version(self) -> str | None:
        """The migration that the tables stand at; `None` is: there are no tables yet."""
        return await self._engines.read.run(doctor.schema_version)

    # -- producers -------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[NewJob], *, transaction: Any = None) -> list[Submitted]:
        """See `JobStore.submit`."""
        if not jobs:
            return []
        if transaction is not None:
            return (await self._submit_in_async(transaction, jobs)).submitted()
        if len(jobs) == 1:
            return [await self._singles.submit(jobs[0])]
        # A job that is refused takes back those behind it, before anyone may see them.
        alone = all(job.unique is None for job in jobs)
        runner = self._engines.alone if alone else self._engines.write
        intake = await runner.run_repeatable(self._producers.submit, jobs)
        self._tally.submitted(jobs, intake.answers)
        self._announce_intake(intake, jobs)
        return intake.submitted()

    async def _submit_each(self, jobs: Sequence[NewJob]) -> Sequence[Answer]:
        """Submit what several callers want at once; an answer for each."""
        try:
            intake = await self._engines.alone.run_repeatable(self._producers.submit_each, jobs)
        except StoreUnavailable:
            raise
        except Exception as error:
            # What cannot be stored is the fault of one, and no reason to refuse the others.
            if len(jobs) == 1:
                return [error]
            return [(await self._submit_each([job]))[0] for job in jobs]
        self._tally.submitted(jobs, intake.answers)
        self._announce_intake(intake, jobs)
        return intake.answers

    def _announce_intake(self, intake: Intake, jobs: Sequence[NewJob]) -> None:
        self._announce_work(intake.queues(jobs), places=intake.places)

    async def _submit_in_async(self, transaction: Any, jobs: Sequence[NewJob]) -> Intake:
        with translated(self._url):
            intake = await join_async(transaction, self._dialect.kind, self._joining(jobs))
        self._announce_when_committed(transaction, intake, jobs)
        return intake

    def submit_in(self, transaction: Any, jobs: Sequence[NewJob]) -> list[Submitted]:
        """See `JobStore.submit_in`."""
        if not jobs:
            return []
        with translated(self._url):
            intake = join(transaction, self._dialect.kind, self._joining(jobs))
        self._announce_when_committed(transaction, intake, jobs)
        return intake.submitted()

    def _joining(self, jobs: Sequence[NewJob]) -> Callable[[Connection], Intake]:
        return lambda connection: self._producers.submit(connection, jobs, whole=True)

    def _announce_when_committed(
        self, transaction: Any, intake: Intake, jobs: Sequence[NewJob]
    ) -> None:
        when_committed(transaction, intake.queues(jobs), self._announce_from_anywhere)

    def _announce_work(
        self, queues: Iterable[str], ids: Iterable[str] = (), places: Sequence[Place] = ()
    ) -> None:
        """Jobs became queued: these ids, and those at these places, in these queues."""
        self._hints.announce(queues)

    def _announce_from_anywhere(self, queues: Iterable[str]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed just now
                self._loop.call_soon_threadsafe(self._hints.announce, queues)

    async def admit(self, ids: Sequence[str]) -> list[Verdict]:
        """See `JobStore.admit`."""
        verdicts, queues = await self._engines.write.run(self._steering.admit, ids)
        self._announce_work(queues, ids)
        return verdicts

    async def cancel(self, ids: Sequence[str], *, by: str = "") -> list[Verdict]:
        """See `JobStore.cancel`."""
        verdicts = await self._engines.write.run(self._steering.cancel, ids, by)
        self._hints.announce(jobs=ids)
        return verdicts

    async def retry(
        self, ids: Sequence[str], *, args: bytes | None = None, by: str = ""
    ) -> list[Verdict]:
        """See `JobStore.retry`."""
        verdicts, queues = await self._engines.write.run(self._steering.retry, ids, args, by)
        self._announce_work(queues, ids)
        return verdicts

    async def discard(self, ids: Sequence[str]) -> list[Verdict]:
        """See `JobStore.discard`."""
        verdicts = await self._engines.write.run(self._steering.discard, ids)
        self._hints.announce(jobs=ids)
        return verdicts

    # -- workers ---------------------------------------------------------------------------

    async def register(self, worker: WorkerInfo, lease: float) -> None:
        """See `JobStore.register`."""
        await self._engines.beat.run_repeatable(self._deliveries.register, worker, lease)

    async def renew(self, worker: WorkerInfo, lease: float) -> Renewal:
        """See `JobStore.renew`."""
        renew = self._deliveries.renew
        return await self._engines.beat.run_repeatable(renew, worker, lease, self.degraded)

    @property
    def degraded(self) -> bool:
        """Whether something that makes this store faster is down."""
        return False

    async def unregister(self, worker: WorkerInfo) -> None:
        """See `JobStore.unregister`."""
        await self._engines.beat.run_repeatable(self._deliveries.unregister, worker)

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        """See `JobStore.claim`."""
        # Not repeated after a lost reply: the worker has to know that it may hold jobs by it.
        return await self._claim(request)

    async def _claim(
        self, request: ClaimRequest, named: Sequence[str] = (), *, fill: bool = True
    ) -> list[Delivery]:
        work = self._deliveries.claim
        found = await self._engines.alone.run(work, request, named, fill=fill)
        deliveries = _leased(found, request)
        self._tally.claimed(deliveries)
        return deliveries

    async def finish(self, endings: Sequence[Ending]) -> list[Verdict]:
        """See `JobStore.finish`."""
        if not endings:
            return []
        verdicts = await self._engines.alone.run_repeatable(self._endings.finish, endings)
        self._tally.ended(endings, verdicts)
        self._announce_endings(endings)
        return verdicts

    def finish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        """See `JobStore.finish_in`."""
        with translated(self._url):
            return join(transaction, self._dialect.kind, self._finishing(endings))

    async def afinish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        """See `JobStore.afinish_in`."""
        with translated(self._url):
            return await join_async(transaction, self._dialect.kind, self._finishing(endings))

    def _finishing(self, endings: Sequence[Ending]) -> Callable[[Connection], list[Verdict]]:
        return lambda connection: self._endings.finish(connection, endings)

    async def finish_and_claim(
        self, endings: Sequence[Ending], request: ClaimRequest
    ) -> tuple[list[Verdict], list[Delivery]]:
        """See `JobStore.finish_and_claim`."""
        return await self._exchange(endings, request)

    async def _exchange(
        self,
        endings: Sequence[Ending],
        request: ClaimRequest,
        named: Sequence[str] = (),
        *,
        fill: bool = True,
    ) -> tuple[list[Verdict], list[Delivery]]:
        work = self._deliveries.finish_and_claim
        verdicts, deliveries = await self._engines.alone.run(
            work, endings, request, named, fill=fill
        )
        self._tally.ended(endings, verdicts)
        self._announce_endings(endings)
        deliveries = _leased(deliveries, request)
        self._tally.claimed(deliveries)
        return verdicts, deliveries

    def _announce_endings(self, endings: Sequence[Ending]) -> None:
        # A job that was asked to stop may have ended where its ending says otherwise.
        again = [ending for ending in endings if ending.state is JobState.QUEUED]
        if again:
            self._announce_work({one.queue for one in again}, {one.job_id for one in again})
        self._hints.announce(jobs={ending.job_id for ending in endings})

    async def hand_back(
        self,
        worker: WorkerInfo,
        *,
        kill: bool,
        spare: Collection[str] = (),
        keep: Collection[str] = (),
    ) -> list[tuple[str, JobState]]:
        """See `JobStore.hand_back`."""
        work = self._returns.hand_back
        returned = await self._engines.write.run(work, worker, kill=kill, spare=spare, keep=keep)
        return self._announced(returned)

    def _announced(self, returned: Returned) -> list[tuple[str, JobState]]:
        again = {job_id: queue for job_id, state, queue in returned if state is JobState.QUEUED}
        if again:
            self._announce_work(set(again.values()), again)
        self._tally.failed(queue for _, state, queue in returned if state is JobState.FAILED)
        self._hints.announce(jobs={job_id for job_id, state, _ in returned if state.terminal})
        return [(job_id, state) for job_id, state, _ in returned]

    async def progress(self, updates: Sequence[ProgressUpdate]) -> list[Verdict]:
        """See `JobStore.progress`."""
        if not updates:
            return []
        verdicts = await self._engines.write.run_repeatable(self._reports.progress, updates)
        self._hints.announce(events=True)
        return verdicts

    # -- upkeep ----------------------------------------------------------------------------

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        """See `JobStore.reap`."""
        if not await self._engines.read.run_repeatable(self._returns.any_to_reap):
            return []
        return self._announced(await self._engines.write.run(self._returns.reap, limit))

    async def promote(self, limit: int = 1000) -> tuple[int, float | None]:
        """See `JobStore.promote`."""
        left = await self._engines.read.run_repeatable(self._upkeep.next_due)
        if left is None or left > 0:
            return 0, left
        promoted = await self._engines.write.run(self._upkeep.promote, limit)
        self._announce_work({queue for _, queue in promoted}, [job_id for job_id, _ in promoted])
        return len(promoted), await self._engines.read.run_repeatable(self._upkeep.next_due)

    async def expire(self, limit: int = 1000) -> int:
        """See `JobStore.expire`."""
        if not await self._engines.read.run_repeatable(self._upkeep.any_late):
            return 0
        expired = await self._engines.write.run(self._upkeep.expire, limit)
        self._tally.failed(queue for _, queue in expired)
        self._hints.announce(jobs=[job_id for job_id, _ in expired])
        return len(expired)

    async def prune(
        self,
        *,
        dead_letter_ttl: float | None = None,
        max_history: int | None = None,
        limit: int = 1000,
    ) -> int:
        """See `JobStore.prune`."""
        work = self._upkeep.prune
        return await self._engines.write.run(work, dead_letter_ttl, max_history, limit)

    # -- queues ----------------------------------------------------------------------------

    async def pause(self, queue: str) -> None:
        """See `JobStore.pause`."""
        await self._engines.write.run_repeatable(self._steering.pause, queue, paused=True)

    async def resume(self, queue: str) -> None:
        """See `JobStore.resume`."""
        await self._engines.write.run_repeatable(self._steering.pause, queue, paused=False)
        self._announce_work([queue])

    async def purge(self, queue: str) -> int:
        """See `JobStore.purge`."""
        purged = 0
        while ids := await self._engines.write.run(self._steering.purge, queue, _PURGED_AT_ONCE):
            self._hints.announce(jobs=ids)
            purged += len(ids)
        return purged


def _upgrade(database_url: str) -> None:
    # Alembic takes a while to import, and is needed once.
    from ferryman.stores.sql.migrations import upgrade

    upgrade(database_url)


def _size(job: NewJob) -> int:
    return len(job.args)


def _leased(deliveries: list[Delivery] | None, request: ClaimRequest) -> list[Delivery]:
    if deliveries is None:
        raise LeaseLost(f"the lease of worker {request.worker} is over; nothing was claimed")
    return deliveries
