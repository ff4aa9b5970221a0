"""The protocol that every store speaks: intentions, records in, records out.

Rules that hold for every method:

- The store's clock decides. Delays, leases and time-outs travel as seconds; the moments that
  come back are the store's. A constructor's `clock` (epoch milliseconds) replaces it in tests.
- A method is atomic for each job that it names: a job's state, its event, its place in the queue
  and its unique key change together or not at all. Several jobs in one call share the round trip,
  not a promise: after an error some may be changed, and repeating the call is always safe.
- Arguments, results and checkpoints are opaque bytes.
- Errors of the server's driver arrive as `StoreUnavailable`, `StoreFull` or `StoreError`.

Left out on purpose: how a store is reached, its tables, its keys, its scripts.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

import msgspec

from ferryman.domain.figures import Figures
from ferryman.domain.job import (
    Delivery,
    Job,
    JobEvent,
    LogLine,
    NewJob,
    Progress,
    QueueInfo,
    Submitted,
    WorkerInfo,
    WorkerStatus,
)
from ferryman.domain.operators import ActionPage, ApiKey, OperatorAction
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState

Clock = Callable[[], int]
"""Epoch milliseconds; replaces a store's own clock in tests."""


class Verdict(StrEnum):
    """What became of a write that carried an expectation."""

    APPLIED = "applied"
    """It took effect, now or when the same write was made before."""
    STALE = "stale"
    """The job is in another state, or runs under another token; nothing changed."""
    MISSING = "missing"
    """There is no such job."""
    CONFLICT = "conflict"
    """Another live job holds its unique key; nothing changed."""
    REQUESTED = "requested"
    """The job is running; its worker was asked to stop it."""


class Pace(msgspec.Struct, frozen=True):
    """How a busy worker best talks to a store.

    Attributes:
        exchanges: how many calls that finish and claim gain from being under way at once, so that
            no job waits for the way of another's.
        linger: seconds that an ending waits for others, to share a call with them.
    """

    exchanges: int = 1
    linger: float = 0.0


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Up to `limit` jobs for `worker`, from `queues` in this order.

    All of a queue comes before the next queue; within one, the highest priority goes first, and
    within one priority the job that became queued first.
    """

    worker: str
    queues: tuple[str, ...]
    limit: int


class Renewal(msgspec.Struct, frozen=True):
    """Whether the lease still held (and holds on), and the running jobs asked to stop."""

    live: bool
    cancels: tuple[tuple[str, int], ...] = ()


class ProgressUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A running job's progress, its checkpoint where it set one, and what it logged since."""

    job_id: str
    queue: str
    token: int
    progress: Progress | None = None
    checkpoint: bytes | None = None
    lines: tuple[LogLine, ...] = ()


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a reader wants; what is `None` matches all. Moments are of creation.

    `text` is looked for in the arguments as stored: what is found tells of secrets among them.
    """

    state: JobState | None = None
    task: str | None = None
    queue: str | None = None
    user: str | None = None
    tag: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


Judge = Callable[[Job], bool] | None  # whether a reader wants a job, where no filter can say so


class Page(msgspec.Struct, frozen=True):
    """Some jobs, and where to go on.

    `cursor` is `None` on the last page. `partial` is: the store looked at as many records as it
    allows itself in one call, and fewer matched than asked for; go on at `cursor`.
    """

    jobs: tuple[Job, ...]
    cursor: str | None = None
    partial: bool = False


class FeedPage(msgspec.Struct, frozen=True):
    """Some events of all jobs, and where to go on.

    Attributes:
        cursor: ASCII text without blanks that only the store understands.
        reset: the store has not all that happened since the given cursor. Whoever follows reads
            the state anew; `cursor` is where the feed goes on from here.
        more: else these are all that were committed before the call: who caught up is there.
    """

    events: tuple[JobEvent, ...]
    cursor: str
    reset: bool = False
    more: bool = False


class Finding(msgspec.Struct, frozen=True):
    """How a store stands in one matter, how to mend it, and by which name it may be allowed."""

    level: Literal["ok", "warning", "error"]
    what: str
    mend: str = ""
    allow: str = ""


class JobStore(Protocol):
    """Where jobs are kept, delivered and ended."""

    @property
    def kind(self) -> str:
        """`"sqlite"`, `"postgresql"` or `"valkey"`."""
        ...

    @property
    def pace(self) -> Pace:
        """How a busy worker best talks to this store."""
        ...

    @property
    def degraded(self) -> bool:
        """Whether this process does without its lane now, because it is down."""
        ...

    # -- life ------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and check that server and schema can keep the store's promises.

        Raises:
            StoreUnavailable: the server cannot be reached; the message names the URL.
            StoreUnsafe: too old, it evicts keys, or its schema is not up to date.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection. Closing twice is fine."""
        ...

    async def check(self) -> list[Finding]:
        """A check-up of server and settings, for an operator."""
        ...

    async def now(self) -> datetime:
        """The store's clock, which decides every lease and delay."""
        ...

    # -- producers -------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[NewJob], *, transaction: Any = None) -> list[Submitted]:
        """Take jobs in, in this order; one round trip a batch.

        An id that is there already is that job: nothing changes and `created` is false. A unique
        key that a live job holds refuses the new job, or gives that live job back (`on_conflict`).

        Args:
            transaction: the caller's own SQLAlchemy `AsyncSession` or `AsyncConnection`; the jobs
                exist once it commits. All or nothing, then.

        Raises:
            JobExists: a unique key is held, and `on_conflict` is `"refuse"`. None of `jobs` that
                come after the refused one are taken in.
            StoreFull: the server is at its memory limit; the job was not taken.
            ConfigError: this store has no transactions to join.
        """
        ...

    def submit_in(self, transaction: Any, jobs: Sequence[NewJob]) -> list[Submitted]:
        """`submit` inside a caller's synchronous `Session` or `Connection`, in its thread.

        Raises:
            JobExists, ConfigError: as for `submit`.
        """
        ...

    async def admit(self, ids: Sequence[str]) -> list[Verdict]:
        """Let held jobs go on: `waiting` to `queued`."""
        ...

    async def cancel(self, ids: Sequence[str], *, by: str = "") -> list[Verdict]:
        """Cancel jobs: `APPLIED` where none runs, `REQUESTED` where one does, `STALE` if ended."""
        ...

    async def retry(
        self, ids: Sequence[str], *, args: bytes | None = None, by: str = ""
    ) -> list[Verdict]:
        """Send failed or cancelled jobs back to their queues with all their attempts anew.

        `args` replaces the arguments of every named job. Its progress and checkpoint are kept.
        """
        ...

    async def discard(self, ids: Sequence[str]) -> list[Verdict]:
        """Delete ended jobs with all that belongs to them; `STALE` for one that has not ended."""
        ...

    # -- workers ---------------------------------------------------------------------------

    async def register(self, worker: WorkerInfo, lease: float) -> None:
        """Give a new worker process its lease of `lease` seconds."""
        ...

    async def renew(self, worker: WorkerInfo, lease: float) -> Renewal:
        """Extend a lease that still holds. One that ended is never brought back to life.

        What `worker` tells of itself replaces what it told before.
        """
        ...

    async def unregister(self, worker: WorkerInfo) -> None:
        """Forget a worker that has nothing running any more."""
        ...

    async def claim(self, request: ClaimRequest) -> list[Delivery]:
        """Take up to `limit` queued jobs: `queued` to `running`, token and deliveries + 1.

        Claiming and recording are one step. Expired jobs and those of paused queues stay.

        Raises:
            LeaseLost: the worker has no lease that holds; nothing was claimed.
        """
        ...

    async def finish(self, endings: Sequence[Ending]) -> list[Verdict]:
        """End deliveries, each only if its job is `running` under the ending's token.

        The next state may be terminal, `scheduled` (`delay`) or `queued`. Repeating an ending that
        was applied says `APPLIED` again. A job that someone asked to stop while it ran becomes
        `cancelled` where the ending would have it run again.
        """
        ...

    def finish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        """`finish` inside a caller's synchronous transaction, in its thread.

        Raises:
            ConfigError: this store has no transactions to join.
        """
        ...

    async def afinish_in(self, transaction: Any, endings: Sequence[Ending]) -> list[Verdict]:
        """`finish` inside a caller's asynchronous transaction.

        Raises:
            ConfigError: as for `finish_in`.
        """
        ...

    async def finish_and_claim(
        self, endings: Sequence[Ending], request: ClaimRequest
    ) -> tuple[list[Verdict], list[Delivery]]:
        """`finish`, then `claim`, in one round trip.

        Raises:
            LeaseLost: as for `claim`; the endings may have been applied all the same.
        """
        ...

    async def hand_back(
        self,
        worker: WorkerInfo,
        *,
        kill: bool,
        spare: Collection[str] = (),
        keep: Collection[str] = (),
    ) -> list[tuple[str, JobState]]:
        """Send back what runs under `worker`, and say where each job went.

        Args:
            kill: the process died with them: charge each a kill. After the third a job fails as
                `worker_lost`; without `kill` it goes to the front of its queue at no charge.
            spare: ids that are never charged: they ran in a process of their own.
            keep: ids that stay: the worker does run them. The rest was claimed by a call whose
                reply was lost.

        A job that someone asked to stop becomes `cancelled` instead.
        """
        ...

    async def progress(self, updates: Sequence[ProgressUpdate]) -> list[Verdict]:
        """Record progress, checkpoints and log lines, each only under the running job's token.

        A job keeps its latest progress, and the latest lines of its log (`LOG_LINES`, `LOG_SIZE`),
        as events too. After a reply that was lost, lines may be there twice.
        """
        ...

    # -- upkeep: safe in any number of processes at once -------------------------------------

    async def reap(self, limit: int = 1000) -> list[tuple[str, JobState]]:
        """Send back the jobs of workers whose lease is over: `hand_back(kill=True)` for each.

        Stalled is: running, and no live lease. A worker that is not known any more has none.
        """
        ...

    async def promote(self, limit: int = 1000) -> tuple[int, float | None]:
        """Queue the jobs whose time has come.

        Returns:
            how many moved, and the seconds until the next one is due (`None`: none is scheduled).
        """
        ...

    async def expire(self, limit: int = 1000) -> int:
        """Fail jobs that were not started in time (`expired`); returns how many."""
        ...

    async def prune(
        self,
        *,
        dead_letter_ttl: float | None = None,
        max_history: int | None = None,
        limit: int = 1000,
    ) -> int:
        """Delete ended jobs: those past their time to live, dead letters older than
        `dead_letter_ttl` seconds, and the oldest over `max_history` in each queue."""
        ...

    # -- readers ---------------------------------------------------------------------------

    async def get(self, ids: Sequence[str]) -> list[Job | None]:
        """The jobs of these ids, in this order."""
        ...

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        """A page of jobs, the newest first as far as the store's indexes can tell.

        Args:
            accepts: is asked in any thread; its refusals show in neither cursor nor `partial`.

        Raises:
            ConfigError: `cursor` was not made by this store.
        """
        ...

    async def count(self, where: JobFilter) -> int:
        """How many jobs match. May look at each of them: not for hot paths."""
        ...

    async def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[JobEvent]:
        """A job's events with a `seq` above `after`, oldest first, and up to `limit` of them.

        What has happened once is never added before what was read: going on after the last `seq`
        misses nothing, except that the store may have dropped the middle of a very long history,
        older progress and older lines.
        """
        ...

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        """What happened to all jobs since `cursor` (`None`: nothing yet, from now on).

        Every committed event comes exactly once, the events of a job in their order. Those of
        jobs that were deleted, and of reports that newer ones replaced, may be left out. There may
        be a few more than `limit`, where one transaction committed many late.

        Raises:
            ConfigError: `cursor` was not made by this store.
        """
        ...

    async def workers(self) -> list[WorkerStatus]:
        """The worker processes that are known, by name."""
        ...

    async def queues(self) -> list[QueueInfo]:
        """Every queue that has held a job or was paused, by name, with its figures.

        Where counting takes long, the counts are some seconds old (`stores/sql/counts.py`).
        """
        ...

    async def figures(self, since: datetime, step: int) -> list[Figures]:
        """What went through each queue since a moment, in steps of `step` seconds, oldest first.

        A step in which a queue had nothing to do is left out. Processes that were killed take the
        figures of their last seconds with them.

        Raises:
            ConfigError: `step` is not a multiple of one that is kept (`figures.STEPS`).
        """
        ...

    # -- queues ----------------------------------------------------------------------------

    async def pause(self, queue: str) -> None:
        """Stop claims from a queue. Running jobs go on, new ones are taken in."""
        ...

    async def resume(self, queue: str) -> None:
        """Let claims from a queue go on."""
        ...

    async def purge(self, queue: str) -> int:
        """Cancel every job of a queue that is not running and has not ended."""
        ...

    # -- operators -------------------------------------------------------------------------

    async def keys(self) -> list[ApiKey]:
        """Every API key, revoked ones too, in the order in which they were made."""
        ...

    async def key(self, id: str) -> ApiKey | None:
        """The API key of this id."""
        ...

    async def add_key(self, key: ApiKey) -> ApiKey:
        """Keep a new key; the store sets `created_at`.

        Raises:
            ConfigError: there is a key of this id.
        """
        ...

    async def revoke_key(self, id: str) -> bool:
        """Revoke a key; false where there is none of this id, or it was revoked before."""
        ...

    async def record(self, action: OperatorAction) -> None:
        """Write down what an operator did. The latest `KEPT_ACTIONS` are kept."""
        ...

    async def actions(self, *, limit: int = 50, cursor: str | None = None) -> ActionPage:
        """What operators did, the latest first.

        Raises:
            ConfigError: `cursor` was not made by this store.
        """
        ...

    # -- hints: lossy, and only ever a saving of time -----------------------------------------

    async def wait_for_work(self, queues: Sequence[str], timeout: float) -> None:
        """Return when one of `queues` may have a queued job, or after `timeout` seconds."""
        ...

    async def wait_for_events(self, timeout: float) -> None:
        """Return when the feed may have something new, or after `timeout` seconds."""
        ...

    async def wait_for_end(self, job_id: str, timeout: float) -> Job | None:
        """The job once it has ended, or as it is after `timeout` seconds; `None` if missing."""
        ...
