"""The suite notices faults: each store here has one, and a case of the suite that must fail."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from ferryman.domain.errors import ConfigError
from ferryman.domain.job import Delivery, Job, JobEvent, NewJob, Submitted, WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState
from ferryman.stores.base import (
    ClaimRequest,
    JobFilter,
    Judge,
    Page,
    ProgressUpdate,
    Renewal,
    Verdict,
)
from tests.clock import FakeClock
from tests.contract import (
    test_cancel,
    test_claim,
    test_events,
    test_finish,
    test_hand_back,
    test_leases,
    test_progress,
    test_prune,
    test_queues,
    test_readers,
    test_retry,
    test_schedule,
    test_submit,
    test_transitions,
    test_unique,
    test_waiting,
)
from tests.contract.model import ModelStore
from tests.contract.model_data import ModelData, Record
from tests.contract.world import World

S = JobState


class NoTokenCheck(ModelStore):
    """A late finisher ends the delivery of another worker."""

    def _finish(self, ending: Ending) -> Verdict:
        record = self.data.records.get(ending.job_id)
        token = record.job.token if record else 0
        return super()._finish(msgspec.structs.replace(ending, token=token))


class NoMemoryOfEndings(ModelStore):
    """A finish that is repeated after a lost reply looks like a stale one."""

    def _finish(self, ending: Ending) -> Verdict:
        verdict = super()._finish(ending)
        if ending.job_id in self.data.records:
            self.data.records[ending.job_id].ending = None
        return verdict


class DeafToCancel(ModelStore):
    """A job that should stop runs again."""

    def _stops(self, record: Record, following: JobState) -> bool:
        return False


class LeaseRevived(ModelStore):
    """A heartbeat brings a lease back to life."""

    async def renew(self, worker: WorkerInfo, lease: float) -> Renewal:
        await self.register(worker, lease)
        return await super().renew(worker, lease)


class ClaimWithoutLease(ModelStore):
    """A worker claims though nobody would notice its death."""

    def _live(self, worker_id: str | None) -> bool:
        return True


class EagerReaper(ModelStore):
    """Jobs of living workers are reaped."""

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        running = self.data.where(lambda job: job.state is S.RUNNING)
        return [self._give_back(record, True, True) for record in running[:limit]]


class KillsNotCounted(ModelStore):
    """A poison job starts for ever."""

    def _give_back(self, record: Record, kill: bool, charged: bool) -> tuple[str, JobState]:
        return super()._give_back(record, kill, charged=False)


class ShutdownsCounted(ModelStore):
    """Enough restarts make a job fail."""

    def _give_back(self, record: Record, kill: bool, charged: bool) -> tuple[str, JobState]:
        return super()._give_back(record, kill, charged=True)


class BackToTheEnd(ModelStore):
    """A job that was handed back waits behind all others."""

    def _give_back(self, record: Record, kill: bool, charged: bool) -> tuple[str, JobState]:
        given = super()._give_back(record, kill, charged)
        record.place = next(self.data.numbers)
        return given


class NoPriorities(ModelStore):
    """Urgent jobs wait for their turn."""

    def _in_order(self, queue: str) -> list[Record]:
        return sorted(super()._in_order(queue), key=lambda record: record.place)


class LastInFirstOut(ModelStore):
    """The newest job goes first."""

    def _in_order(self, queue: str) -> list[Record]:
        key: Callable[[Record], Any] = lambda record: (-record.job.priority, -record.place)  # noqa: E731
        return sorted(super()._in_order(queue), key=key)


class PauseForgotten(ModelStore):
    """A paused queue goes on."""

    async def pause(self, queue: str) -> None:
        self.data.queues.add(queue)


class StartsExpired(ModelStore):
    """A job starts after its expiry."""

    def _claim(self, request: ClaimRequest) -> list[Delivery]:
        self._too_late = lambda job: False  # type: ignore[method-assign]
        return super()._claim(request)


class KeyNeverReleased(ModelStore):
    """An ended job still holds its unique key."""

    def _take_in(self, new: NewJob) -> Submitted:
        held = [one for one in self.data.records.values() if one.job.unique == new.unique]
        if new.unique and held and new.id not in self.data.records:
            return Submitted(held[0].job.id, new.queue, False)
        return super()._take_in(new)


class KeyNotTakenAgain(ModelStore):
    """A retry by hand leads to two live jobs of one key."""

    def _retry(self, job_id: str, args: bytes | None, by: str) -> Verdict:
        holder, self.data.holder = self.data.holder, lambda queue, unique: None  # type: ignore[method-assign]
        try:
            return super()._retry(job_id, args, by)
        finally:
            self.data.holder = holder  # type: ignore[method-assign]


class RacingUnique(ModelStore):
    """The key is looked up, and taken some time later."""

    async def submit(self, jobs: Sequence[NewJob], *, transaction: Any = None) -> list[Submitted]:
        holders = [self.data.holder(job.queue, job.unique) for job in jobs]
        await asyncio.sleep(0)
        if not any(holders):
            jobs = [msgspec.structs.replace(job, unique=None) for job in jobs]
        return await super().submit(jobs)


class SubmitOverwrites(ModelStore):
    """A submit that is repeated after a lost reply makes a second job."""

    def _take_in(self, new: NewJob) -> Submitted:
        self.data.records.pop(new.id, None)
        return super()._take_in(new)


class ArgumentsReadAndWritten(ModelStore):
    """The arguments pass through a parser whose numbers are floats."""

    def _create(self, new: NewJob) -> None:
        value = json.loads(new.args, parse_int=float)
        super()._create(msgspec.structs.replace(new, args=json.dumps(value).encode()))


class RacingClaims(ModelStore):
    """Jobs are chosen, and marked some time later."""

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        chosen = [one for queue in request.queues for one in self._in_order(queue)]
        await asyncio.sleep(0)
        for record in chosen[: request.limit]:
            record.job = msgspec.structs.replace(record.job, state=S.QUEUED)
        return [self._deliver(record, request.worker) for record in chosen[: request.limit]]


class RacingReapers(ModelStore):
    """Stalled jobs are found, and sent back some time later."""

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        stalled = self.data.where(lambda job: job.state is S.RUNNING and not self._live(job.worker))
        await asyncio.sleep(0)
        for record in stalled:
            record.job = msgspec.structs.replace(record.job, state=S.RUNNING)
        return [self._give_back(record, True, True) for record in stalled[:limit]]


class TokensBeginAgain(ModelStore):
    """The first token of an id's second life was that of its first."""

    def _create(self, new: NewJob) -> None:
        super()._create(new)
        self.data.records[new.id].set(token=0)


class RetryOfASuccess(ModelStore):
    """A job that succeeded can be sent back."""

    def _retry(self, job_id: str, args: bytes | None, by: str) -> Verdict:
        record = self.data.records.get(job_id)
        if record and record.job.state is S.SUCCEEDED:
            record.set(state=S.FAILED)
        return super()._retry(job_id, args, by)


class CancelsRunning(ModelStore):
    """A running job is cancelled under its worker's hands."""

    def _cancel(self, job_id: str, by: str) -> Verdict:
        record = self.data.records[job_id]
        if record.job.state is S.RUNNING:
            self._move(record, S.CANCELLED, record.job.reason)
        return super()._cancel(job_id, by)


class ExpiresRunning(ModelStore):
    """A job that started in time is expired."""

    async def expire(self, limit: int = 1000) -> int:
        late = self.data.where(lambda job: job.state is S.RUNNING and self._too_late(job))
        for record in late:
            self._move(record, S.FAILED, record.job.reason)
        return await super().expire(limit)


class ProgressUnderAnyToken(ModelStore):
    """A zombie reports progress."""

    def _progress(self, update: ProgressUpdate) -> Verdict:
        record = self.data.records.get(update.job_id)
        token = record.job.token if record else 0
        return super()._progress(msgspec.structs.replace(update, token=token))


class EventsForgotten(ModelStore):
    """A change leaves no event."""

    async def events(self, job_id: str, **options: Any) -> list[JobEvent]:
        return [event for event in await super().events(job_id, **options) if event.reason != "due"]


class PrunesTheLiving(ModelStore):
    """The count of the history includes jobs that have not ended."""

    async def prune(self, **limits: Any) -> int:
        gone = await super().prune(**limits)
        for record in self.data.where(lambda job: job.state is S.SCHEDULED):
            del self.data.records[record.job.id]
        return gone


class PagesRepeat(ModelStore):
    """The last job of a page is the first of the next."""

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        page = await super().page(where, limit=limit, cursor=cursor, accepts=accepts)
        if page.cursor is None or limit == 1:
            return page
        return Page(page.jobs, f"model-{int(page.cursor[6:]) + 1}")


class AnyCursor(ModelStore):
    """Garbage begins again at the front."""

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        try:
            return await super().page(where, limit=limit, cursor=cursor, accepts=accepts)
        except ConfigError:
            return await super().page(where, limit=limit, accepts=accepts)


class NobodyIsAsked(ModelStore):
    """What the reader would refuse is on the pages."""

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        return await super().page(where, limit=limit, cursor=cursor)


class EndsAfterAPage(ModelStore):
    """There is no more after the first page of what a reader accepts."""

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        page = await super().page(where, limit=limit, cursor=cursor, accepts=accepts)
        return page if accepts is None else Page(page.jobs)


class AnyCase(ModelStore):
    """A text of a filter is looked for without regard to case."""

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        text = (where.text or "").lower().encode()
        loose = msgspec.structs.replace(where, text=None)
        return await super().page(
            loose, limit=limit, cursor=cursor, accepts=lambda job: text in job.args.lower()
        )


class PurgeOfTheQueuedOnly(ModelStore):
    """Jobs that are due later come back after a purge."""

    async def purge(self, queue: str) -> int:
        later = self.data.where(lambda job: job.state is S.SCHEDULED)
        for record in later:
            record.set(queue="elsewhere")
        purged = await super().purge(queue)
        for record in later:
            record.set(queue=queue)
        return purged


class EarlyPromotion(ModelStore):
    """The next due time is that of any job."""

    async def promote(self, limit: int = 1000) -> tuple[int, float | None]:
        moved, _ = await super().promote(limit)
        rest = self.data.where(lambda job: job.state is S.SCHEDULED)
        return moved, 5.0 if rest else None


class DeafWaiter(ModelStore):
    """A wait for a job's end lasts until its time-out."""

    async def wait_for_end(self, job_id: str, timeout: float) -> Job | None:
        await asyncio.sleep(min(timeout, test_waiting.SOON + 0.1))
        return (await self.get([job_id]))[0]


class Planted(NamedTuple):
    """A store with a fault, and the case that must fail on it."""

    store: type[ModelStore]
    case: Callable[..., Awaitable[None]]
    arguments: tuple[Any, ...] = ()


PLANTED = [
    Planted(NoTokenCheck, test_finish.test_a_stale_token_ends_nothing, (S.SUCCEEDED,)),
    Planted(
        NoMemoryOfEndings,
        test_finish.test_a_repeated_ending_is_applied_again_and_changes_nothing,
        (S.SUCCEEDED,),
    ),
    Planted(DeafToCancel, test_cancel.test_a_job_that_should_stop_does_not_run_again, (S.QUEUED,)),
    Planted(DeafToCancel, test_hand_back.test_a_job_that_should_stop_is_cancelled),
    Planted(DeafToCancel, test_leases.test_a_reaped_job_that_should_stop_is_cancelled),
    Planted(LeaseRevived, test_leases.test_a_lease_that_ended_is_not_revived),
    Planted(ClaimWithoutLease, test_claim.test_a_worker_without_a_lease_claims_nothing),
    Planted(EagerReaper, test_leases.test_the_reaper_sends_back_what_a_dead_worker_ran),
    Planted(KillsNotCounted, test_leases.test_the_third_kill_is_the_last),
    Planted(KillsNotCounted, test_hand_back.test_the_third_death_fails_the_job),
    Planted(ShutdownsCounted, test_hand_back.test_shutdowns_never_make_a_job_fail),
    Planted(ShutdownsCounted, test_hand_back.test_spared_jobs_are_not_charged),
    Planted(BackToTheEnd, test_claim.test_an_ordinary_hand_back_goes_to_the_front),
    Planted(NoPriorities, test_claim.test_higher_priorities_go_first),
    Planted(LastInFirstOut, test_claim.test_first_in_first_out),
    Planted(PauseForgotten, test_queues.test_a_paused_queue_gives_nothing),
    Planted(StartsExpired, test_claim.test_an_expired_job_is_passed_over),
    Planted(KeyNeverReleased, test_unique.test_an_ended_job_releases_its_key, (S.FAILED,)),
    Planted(KeyNotTakenAgain, test_unique.test_a_retry_meets_the_new_holder, (S.FAILED,)),
    Planted(RacingUnique, test_unique.test_one_of_many_concurrent_submits_wins),
    Planted(SubmitOverwrites, test_submit.test_a_repeated_submit_is_the_same_job),
    Planted(SubmitOverwrites, test_submit.test_a_repeated_batch_adds_nothing),
    Planted(
        ArgumentsReadAndWritten,
        test_submit.test_arguments_come_back_byte_for_byte,
        ("large integers",),
    ),
    Planted(RacingClaims, test_claim.test_many_claimers_get_each_delivery_once),
    Planted(RacingReapers, test_leases.test_many_reapers_charge_one_kill),
    Planted(TokensBeginAgain, test_claim.test_the_token_grows_over_all_lives_of_an_id),
    Planted(RetryOfASuccess, test_transitions.test_every_way_from, (S.SUCCEEDED,)),
    Planted(RetryOfASuccess, test_retry.test_other_states_are_not_retried, (S.SUCCEEDED,)),
    Planted(CancelsRunning, test_transitions.test_every_way_from, (S.RUNNING,)),
    Planted(ExpiresRunning, test_transitions.test_every_way_from, (S.RUNNING,)),
    Planted(ProgressUnderAnyToken, test_progress.test_a_stale_token_reports_nothing),
    Planted(EventsForgotten, test_events.test_a_job_with_a_long_life_has_a_legal_history),
    Planted(EventsForgotten, test_transitions.test_every_way_from, (S.SCHEDULED,)),
    Planted(PrunesTheLiving, test_prune.test_live_jobs_are_never_pruned),
    Planted(PagesRepeat, test_readers.test_pages_are_complete_and_never_repeat),
    Planted(AnyCursor, test_readers.test_a_cursor_of_someone_else_is_refused, ("garbage",)),
    Planted(NobodyIsAsked, test_readers.test_a_reader_is_asked_of_each_job),
    Planted(EndsAfterAPage, test_readers.test_a_reader_is_asked_of_each_job),
    Planted(AnyCase, test_readers.test_text_is_looked_for_in_the_arguments_as_they_are_stored),
    Planted(PurgeOfTheQueuedOnly, test_queues.test_purge_cancels_what_has_not_begun),
    Planted(EarlyPromotion, test_schedule.test_the_next_due_job_is_the_earliest_of_all_queues),
    Planted(DeafWaiter, test_waiting.test_an_end_is_noticed_soon, (S.SUCCEEDED,)),
]


async def run(store: type[ModelStore], planted: Planted, clock: FakeClock) -> None:
    """Run a case of the suite on a kind of store."""
    data = ModelData()

    async def open_store() -> ModelStore:
        return store(data, clock)

    world = World(await open_store(), clock)
    needs = list(inspect.signature(planted.case).parameters)
    more = [open_store] if "open_store" in needs else []
    await planted.case(world, *more, *planted.arguments)


@pytest.mark.parametrize(
    "planted", PLANTED, ids=lambda one: f"{one.store.__name__}-{one.case.__name__}"
)
async def test_a_fault_is_noticed(planted: Planted, clock: FakeClock) -> None:
    await run(ModelStore, planted, clock)
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        await run(planted.store, planted, clock)
    assert isinstance(caught.value, AssertionError | pytest.fail.Exception), caught.getrepr()
