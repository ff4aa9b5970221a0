"""Returns: running jobs that go back to their queues without a word from their holder."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Integer, Text, bindparam, delete, exists, select

from ferryman.domain.job import WorkerInfo
from ferryman.domain.outcomes import MAX_KILLS, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores.sql.dialect import AnyRow, Dialect
from ferryman.stores.sql.moves import Moves, Values
from ferryman.stores.sql.records import encode
from ferryman.stores.sql.tables import jobs, one_of, workers

Returned = list[tuple[str, JobState, str]]
"""Each job's id, its new state, and its queue."""

_LOST = f"the process that held it died or lost its lease, {MAX_KILLS} times"


class Returns:
    """Hand-backs and the reaper."""

    def __init__(self, dialect: Dialect, moves: Moves) -> None:
        self._dialect = dialect
        self._moves = moves
        running = select(jobs.c.id, jobs.c.queue, jobs.c.kills, jobs.c.cancel_by)
        running = running.where(one_of(JobState.RUNNING))
        mine = jobs.c.worker == bindparam("by_worker", type_=Text)
        self._mine = running.where(mine).order_by(jobs.c.id).with_for_update()
        ended = workers.c.lease_until <= dialect.now
        self._forget = delete(workers).where(ended)
        # A worker that is not there any more cannot renew; one that is may be about to.
        orphaned = ~exists().where(workers.c.id == jobs.c.worker)
        self._orphans = (
            running.where(orphaned)
            .limit(bindparam("limit", type_=Integer))
            .with_for_update(skip_locked=True, of=jobs)
        )
        stalled = ~exists().where(workers.c.id == jobs.c.worker, ~ended)
        any_stalled = exists().where(one_of(JobState.RUNNING), stalled)
        self._any_to_reap = select((exists().where(ended) | any_stalled).label("any"))

    def any_to_reap(self, connection: Connection) -> bool:
        """Whether `reap` would find something to do."""
        return bool(connection.execute(self._any_to_reap).one().any)

    def hand_back(
        self,
        connection: Connection,
        worker: WorkerInfo,
        *,
        kill: bool,
        spare: Collection[str],
        keep: Collection[str],
    ) -> Returned:
        """Send back what runs under `worker`, but for `keep`."""
        rows = connection.execute(self._mine, {"by_worker": worker.id})
        returning = [row for row in rows if row.id not in keep]
        return self._send_back(connection, returning, kill=kill, spare=spare)

    def reap(self, connection: Connection, limit: int) -> Returned:
        """Forget the workers whose lease is over, then send back what no known worker holds.

        In this order: a renewal that comes in at the same time either wins over the deletion, or
        finds nothing to renew.
        """
        connection.execute(self._forget)
        rows = connection.execute(self._orphans, {"limit": limit}).all()
        return self._send_back(connection, rows, kill=True, spare=())

    def _send_back(
        self,
        connection: Connection,
        rows: Iterable[AnyRow],
        *,
        kill: bool,
        spare: Collection[str],
    ) -> Returned:
        returned: Returned = []
        groups: dict[_Fate, list[str]] = {}
        for row in rows:
            fate = _fate(row, charged=kill and row.id not in spare)
            groups.setdefault(fate, []).append(row.id)
            returned.append((row.id, fate.state, row.queue))
        for fate, ids in groups.items():
            self._moves.move(connection, ids, JobState.RUNNING, self._values(fate, kill=kill))
        return returned

    def _values(self, fate: "_Fate", *, kill: bool) -> Values:
        kills = {"kills": jobs.c.kills + fate.kills}
        match fate.state:
            case JobState.QUEUED:
                # Its place is still its own, which is in front of all that was not claimed yet.
                reason = Reason.LEASE_LOST if kill else Reason.HANDED_BACK
                return kills | {"state": fate.state, "reason": reason, "detail": ""}
            case JobState.FAILED:
                failure = encode(Failure(kind="ferryman.ProcessLost", message=_LOST))
                values = self._moves.ended(fate.state, Reason.WORKER_LOST, _LOST)
                return kills | values | {"failure": failure}
            case _:
                return kills | self._moves.ended(fate.state, Reason.CANCELLED_BY, fate.by)


class _Fate(NamedTuple):
    """Where a job goes, the kills that it is charged, and who asked it to stop."""

    state: JobState
    kills: int
    by: str = ""


def _fate(row: AnyRow, *, charged: bool) -> _Fate:
    kills = int(charged)
    if row.cancel_by is not None:
        return _Fate(JobState.CANCELLED, kills, row.cancel_by)
    if charged and row.kills + 1 >= MAX_KILLS:
        return _Fate(JobState.FAILED, kills)
    return _Fate(JobState.QUEUED, kills)
