"""The contract of the stores as plain data: slow, in memory, easy to read.

The contract suite runs on it too. That shows that the suite asks nothing impossible, and copies
with a planted fault show that the suite would notice one. Random runs compare the real stores
with it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from ferryman.domain.errors import ConfigError, JobExists, LeaseLost
from ferryman.domain.job import (
    LINE_LENGTH,
    Delivery,
    EventKind,
    Job,
    LogLine,
    NewJob,
    QueueInfo,
    Submitted,
    WorkerInfo,
    WorkerStatus,
)
from ferryman.domain.outcomes import MAX_KILLS, Ending, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import (
    ClaimRequest,
    Finding,
    JobFilter,
    Judge,
    Pace,
    Page,
    ProgressUpdate,
    Renewal,
    Verdict,
)
from tests.contract.model_data import Lease, Record, later, matches, moment
from tests.contract.model_watching import ModelOnlookers

S = JobState
OPEN = (S.SCHEDULED, S.WAITING, S.QUEUED)


class ModelStore(ModelOnlookers):
    """A `JobStore` in memory. No call awaits in its middle, so each is atomic."""

    kind = "model"
    pace = Pace()
    degraded = False

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        await self.tally.close()

    async def check(self) -> list[Finding]:
        """All is well."""
        return [Finding("ok", "a model in memory")]

    async def now(self) -> datetime:
        return moment(self.clock())

    # -- producers -------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[NewJob], *, transaction: Any = None) -> list[Submitted]:
        if transaction is not None:
            raise ConfigError("a model has no transactions")
        answers: list[Submitted] = []
        try:
            for job in jobs:
                answers.append(self._take_in(job))
        finally:
            self.tally.submitted(jobs, answers)
        return answers

    def submit_in(self, transaction: Any, jobs: Sequence[NewJob]) -> list[Submitted]:
        raise ConfigError("a model has no transactions")

    def _take_in(self, new: NewJob) -> Submitted:
        known = self.data.records.get(new.id)
        if known is not None:
            return Submitted(new.id, known.job.queue, False)
        holder = self.data.holder(new.queue, new.unique)
        if holder is not None and new.on_conflict == "return":
            return Submitted(holder, new.queue, False)
        if holder is not None:
            raise JobExists(f"{holder} holds {new.unique!r}", holder)
        self._create(new)
        return Submitted(new.id, new.queue, True)

    def _create(self, new: NewJob) -> None:
        now = self.clock()
        due = later(now, new.delay) if new.run_at is None else max(now, new.run_at)
        state = S.WAITING if new.held else S.SCHEDULED if due > now else S.QUEUED
        job = Job(
            id=new.id,
            task=new.task,
            queue=new.queue,
            priority=new.priority,
            state=state,
            reason=Reason.SUBMITTED,
            args=new.args,
            created_at=moment(now),
            due_at=moment(due),
            token=now,
            unique=new.unique,
            user=new.user,
            tags=new.tags,
            options=new.options,
            expires_at=None if new.expires_in is None else moment(later(now, new.expires_in)),
        )
        self.data.queues.add(new.queue)
        record = self.data.records[new.id] = Record(job, next(self.data.numbers))
        self.data.note(record, None, now)
        if state is S.QUEUED:
            self.data.place_last(record, now)

    async def admit(self, ids: Sequence[str]) -> list[Verdict]:
        return [self._admit(job_id) for job_id in ids]

    def _admit(self, job_id: str) -> Verdict:
        record = self.data.records.get(job_id)
        if record is None:
            return Verdict.MISSING
        if record.job.state is not S.WAITING:
            return Verdict.STALE
        self._move(record, S.QUEUED, Reason.ADMITTED)
        return Verdict.APPLIED

    async def cancel(self, ids: Sequence[str], *, by: str = "") -> list[Verdict]:
        return [self._cancel(job_id, by) for job_id in ids]

    def _cancel(self, job_id: str, by: str) -> Verdict:
        record = self.data.records.get(job_id)
        if record is None:
            return Verdict.MISSING
        if record.job.state is S.RUNNING:
            record.asked_by = record.asked_by or by
            record.set(cancel_requested=True)
            return Verdict.REQUESTED
        if record.job.state.terminal:
            return Verdict.STALE
        self._move(record, S.CANCELLED, Reason.CANCELLED_BY, detail=by)
        return Verdict.APPLIED

    async def retry(
        self, ids: Sequence[str], *, args: bytes | None = None, by: str = ""
    ) -> list[Verdict]:
        return [self._retry(job_id, args, by) for job_id in ids]

    def _retry(self, job_id: str, args: bytes | None, by: str) -> Verdict:
        record = self.data.records.get(job_id)
        if record is None:
            return Verdict.MISSING
        if record.job.state not in (S.FAILED, S.CANCELLED):
            return Verdict.STALE
        if self.data.holder(record.job.queue, record.job.unique):
            return Verdict.CONFLICT
        record.set(
            attempts=0,
            kills=0,
            finished_at=None,
            expires_at=None,
            cancel_requested=False,
            due_at=moment(self.clock()),
            args=record.job.args if args is None else args,
        )
        record.until = None
        self._move(record, S.QUEUED, Reason.RETRIED, detail=by)
        return Verdict.APPLIED

    async def discard(self, ids: Sequence[str]) -> list[Verdict]:
        return [self._discard(job_id) for job_id in ids]

    def _discard(self, job_id: str) -> Verdict:
        record = self.data.records.get(job_id)
        if record is None:
            return Verdict.MISSING
        if not record.job.state.terminal:
            return Verdict.STALE
        del self.data.records[job_id]
        return Verdict.APPLIED

    # -- workers ---------------------------------------------------------------------------

    async def register(self, worker: WorkerInfo, lease: float) -> None:
        now = self.clock()
        self.data.leases[worker.id] = Lease(worker, now, later(now, lease))

    async def renew(self, worker: WorkerInfo, lease: float) -> Renewal:
        if not self._live(worker.id):
            return Renewal(False)
        self.data.leases[worker.id].until = later(self.clock(), lease)
        self.data.leases[worker.id].info = worker
        asked = [record.job for record in self._held(worker.id) if record.job.cancel_requested]
        return Renewal(True, tuple((job.id, job.token) for job in asked))

    async def unregister(self, worker: WorkerInfo) -> None:
        self.data.leases.pop(worker.id, None)

    def _live(self, worker_id: str | None) -> bool:
        lease = self.data.leases.get(worker_id or "")
        return lease is not None and lease.until > self.clock()

    def _held(self, worker_id: str) -> list[Record]:
        held = (one for one in self.data.records.values() if one.job.worker == worker_id)
        return sorted(
            (one for one in held if one.job.state is S.RUNNING), key=lambda one: one.place
        )

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        return self._claim(request)

    def _claim(self, request: ClaimRequest) -> list[Delivery]:
        if not self._live(request.worker):
            raise LeaseLost("no lease")
        candidates = [
            record
            for queue in request.queues
            for record in self._in_order(queue)
            if not self._too_late(record.job)
        ]
        deliveries = [self._deliver(one, request.worker) for one in candidates[: request.limit]]
        self.tally.claimed(deliveries)
        return deliveries

    def _in_order(self, queue: str) -> list[Record]:
        if queue in self.data.paused:
            return []
        queued = self.data.where(lambda job: job.queue == queue and job.state is S.QUEUED)
        return sorted(queued, key=lambda record: (-record.job.priority, record.place))

    def _too_late(self, job: Job) -> bool:
        return job.expires_at is not None and job.expires_at <= moment(self.clock())

    def _deliver(self, record: Record, worker: str) -> Delivery:
        job = record.job
        record.set(
            token=job.token + 1,
            deliveries=job.deliveries + 1,
            worker=worker,
            started_at=moment(self.clock()),
        )
        self._move(record, S.RUNNING, Reason.CLAIMED)
        job = record.job
        return Delivery(
            job_id=job.id,
            task=job.task,
            queue=job.queue,
            token=job.token,
            args=job.args,
            options=job.options,
            attempts=job.attempts,
            deliveries=job.deliveries,
            kills=job.kills,
            checkpoint=record.checkpoint,
            user=job.user,
            waited=(self.clock() - record.since) / 1000,
        )

    async def finish(self, endings: Sequence[Ending]) -> list[Verdict]:
        return self._finish_all(endings)

    def _finish_all(self, endings: Sequence[Ending]) -> list[Verdict]:
        verdicts = [self._finish(ending) for ending in endings]
        self.tally.ended(endings, verdicts)
        return verdicts

    def finish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        raise ConfigError("no transactions")

    async def afinish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        raise ConfigError("no transactions")

    def _finish(self, ending: Ending) -> Verdict:
        record = self.data.records.get(ending.job_id)
        if record is None:
            return Verdict.MISSING
        job = record.job
        if job.state is not S.RUNNING or job.token != ending.token:
            return Verdict.APPLIED if record.ending == ending else Verdict.STALE
        record.set(
            attempts=job.attempts + ending.charge,
            kills=job.kills + ending.kill,
            failure=ending.failure or job.failure,
            result=ending.result,
        )
        record.until = None if ending.ttl is None else later(self.clock(), ending.ttl)
        if not self._stops(record, ending.state):
            if ending.state is S.SCHEDULED:
                record.set(due_at=moment(later(self.clock(), ending.delay)))
            asked_by = (record.asked_by or "") if ending.state is S.CANCELLED else ""
            place = record.place
            self._move(record, ending.state, ending.reason, detail=ending.detail or asked_by)
            if ending.reason in (Reason.HANDED_BACK, Reason.LEASE_LOST):
                record.place = place  # its holder gave up, which is no fault of the job
        record.ending = ending
        return Verdict.APPLIED

    def _stops(self, record: Record, following: JobState) -> bool:
        if not record.job.cancel_requested or following.terminal:
            return False
        self._move(record, S.CANCELLED, Reason.CANCELLED_BY, detail=record.asked_by)
        return True

    async def finish_and_claim(
        self, endings: Sequence[Ending], request: ClaimRequest
    ) -> tuple[list[Verdict], list[Delivery]]:
        return self._finish_all(endings), self._claim(request)

    async def hand_back(
        self,
        worker: WorkerInfo,
        *,
        kill: bool,
        spare: Collection[str] = (),
        keep: Collection[str] = (),
    ) -> list[tuple[str, JobState]]:
        given = [one for one in self._held(worker.id) if one.job.id not in keep]
        return [self._give_back(one, kill, kill and one.job.id not in spare) for one in given]

    def _give_back(self, record: Record, kill: bool, charged: bool) -> tuple[str, JobState]:
        place = record.place
        if charged:
            record.set(kills=record.job.kills + 1)
        if self._stops(record, S.QUEUED):
            pass
        elif record.job.kills >= MAX_KILLS and charged:
            record.set(failure=Failure(kind="ferryman.ProcessLost", message="lost"))
            self._move(record, S.FAILED, Reason.WORKER_LOST)
        else:
            self._move(record, S.QUEUED, Reason.LEASE_LOST if kill else Reason.HANDED_BACK)
            record.place = place  # what it had before all that is still queued
        return record.job.id, record.job.state

    async def progress(self, updates: Sequence[ProgressUpdate]) -> list[Verdict]:
        return [self._progress(update) for update in updates]

    def _progress(self, update: ProgressUpdate) -> Verdict:
        record = self.data.records.get(update.job_id)
        if record is None:
            return Verdict.MISSING
        if record.job.state is not S.RUNNING or record.job.token != update.token:
            return Verdict.STALE
        for line in update.lines:
            kept = LogLine(line.level, line.text[:LINE_LENGTH])
            self.data.report(record, self.clock(), kind=EventKind.LOG, line=kept)
        if update.progress is not None:
            record.set(progress=update.progress)
            told = {"kind": EventKind.PROGRESS, "progress": update.progress}
            self.data.report(record, self.clock(), **told)
        if update.checkpoint is not None:
            record.checkpoint = update.checkpoint
        return Verdict.APPLIED

    # -- upkeep ----------------------------------------------------------------------------

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        stalled = self.data.where(lambda job: job.state is S.RUNNING and not self._live(job.worker))
        return [self._give_back(record, True, True) for record in stalled[:limit]]

    async def promote(self, limit: int = 1000) -> tuple[int, float | None]:
        now = moment(self.clock())
        waiting = sorted(
            self.data.where(lambda job: job.state is S.SCHEDULED),
            key=lambda record: (record.job.due_at, record.number),
        )
        due = [record for record in waiting if record.job.due_at <= now][:limit]
        for record in due:
            self._move(record, S.QUEUED, Reason.DUE)
        rest = waiting[len(due) :]
        until = max(0.0, (rest[0].job.due_at - now).total_seconds()) if rest else None
        return len(due), until

    async def expire(self, limit: int = 1000) -> int:
        late = self.data.where(lambda job: job.state in OPEN and self._too_late(job))[:limit]
        for record in late:
            self._move(record, S.FAILED, Reason.EXPIRED)
        self.tally.failed(record.job.queue for record in late)
        return len(late)

    async def prune(
        self,
        *,
        dead_letter_ttl: float | None = None,
        max_history: int | None = None,
        limit: int = 1000,
    ) -> int:
        now = self.clock()
        gone = [one.job.id for one in self._ended() if one.until is not None and one.until <= now]
        if dead_letter_ttl is not None:
            edge = moment(later(now, -dead_letter_ttl))
            gone += [
                one.job.id
                for one in self._ended()
                if one.job.state is S.FAILED and one.job.finished_at <= edge  # type: ignore[operator]
            ]
        gone += self._surplus(max_history)
        distinct = list(dict.fromkeys(gone))[:limit]
        for job_id in distinct:
            del self.data.records[job_id]
        return len(distinct)

    def _ended(self) -> list[Record]:
        ended = self.data.where(lambda job: job.state.terminal)
        return sorted(ended, key=lambda record: str(record.job.finished_at))

    def _surplus(self, max_history: int | None) -> Iterable[str]:
        if max_history is None:
            return
        for queue in self.data.queues:
            ended = [record.job.id for record in self._ended() if record.job.queue == queue]
            yield from ended[: max(0, len(ended) - max_history)]

    # -- readers ---------------------------------------------------------------------------

    async def get(self, ids: Sequence[str]) -> list[Job | None]:
        records = [self.data.records.get(job_id) for job_id in ids]
        return [record.job if record else None for record in records]

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        if cursor is not None and not (cursor.startswith("model-") and cursor[6:].isdigit()):
            raise ConfigError(f"{cursor!r} is no cursor of this store")
        before = int(cursor[6:]) if cursor else None
        matching = self.data.where(
            lambda job: matches(job, where) and (accepts is None or accepts(job))
        )
        matching.sort(key=lambda one: -one.number)
        found = [one for one in matching if before is None or one.number < before]
        more = f"model-{found[limit - 1].number}" if len(found) > limit else None
        return Page(tuple(record.job for record in found[:limit]), more)

    async def count(self, where: JobFilter) -> int:
        return len(self.data.where(lambda job: matches(job, where)))

    async def workers(self) -> list[WorkerStatus]:
        leases = sorted(self.data.leases.values(), key=lambda lease: lease.info.name)
        return [
            WorkerStatus(
                info=lease.info,
                started_at=moment(lease.started),
                lease_until=moment(lease.until),
                live=self._live(lease.info.id),
                running=len(self._held(lease.info.id)),
            )
            for lease in leases
        ]

    async def queues(self) -> list[QueueInfo]:
        return [self._queue_info(name) for name in sorted(self.data.queues | self.data.paused)]

    def _queue_info(self, name: str) -> QueueInfo:
        records = self.data.where(lambda job: job.queue == name)
        counts = {str(state): sum(one.job.state is state for one in records) for state in S}
        queued = [record.since for record in records if record.job.state is S.QUEUED]
        age = (self.clock() - min(queued)) / 1000 if queued else None
        return QueueInfo(name=name, paused=name in self.data.paused, oldest_age=age, **counts)

    # -- queues ----------------------------------------------------------------------------

    async def pause(self, queue: str) -> None:
        self.data.queues.add(queue)
        self.data.paused.add(queue)

    async def resume(self, queue: str) -> None:
        self.data.paused.discard(queue)

    async def purge(self, queue: str) -> int:
        doomed = self.data.where(lambda job: job.queue == queue and job.state in OPEN)
        for record in doomed:
            self._move(record, S.CANCELLED, Reason.CANCELLED_BY, detail="purge")
        return len(doomed)

    # -- hints -----------------------------------------------------------------------------

    async def wait_for_work(self, queues: Sequence[str], timeout: float) -> None:
        await self._until(lambda: any(map(self._in_order, queues)), timeout)

    async def wait_for_end(self, job_id: str, timeout: float) -> Job | None:
        def over() -> bool:
            record = self.data.records.get(job_id)
            return record is None or record.job.state.terminal

        await self._until(over, timeout)
        return (await self.get([job_id]))[0]

    async def _until(self, condition: Callable[[], bool], timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not condition():  # noqa: ASYNC110 - simple on purpose
                    await asyncio.sleep(0.005)

    def _move(self, record: Record, target: JobState, reason: Reason, *, detail: str = "") -> None:
        self.data.move(record, target, reason, self.clock(), detail=detail)
