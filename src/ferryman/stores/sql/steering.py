"""Steering: what people ask of jobs and queues — admit, cancel, retry, discard, pause, purge."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Text,
    bindparam,
    delete,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import Verdict
from ferryman.stores.sql.dialect import AnyRow, Dialect
from ferryman.stores.sql.moves import Moves
from ferryman.stores.sql.records import clean
from ferryman.stores.sql.tables import ENDED, LIVE, NOT_BEGUN, events, jobs, one_of, queues

Answer = tuple[list[Verdict], set[str]]
"""A verdict on each job, and the queues that got work by it."""

_RETRIED = (JobState.FAILED, JobState.CANCELLED)


class Steering:
    """Changes that an operator or an application asks for."""

    def __init__(self, dialect: Dialect, moves: Moves) -> None:
        self._dialect = dialect
        self._moves = moves
        self._insert = postgresql.insert if dialect.postgresql else sqlite.insert
        self._live_holders = select(jobs.c.queue, jobs.c.unique_key).where(
            dialect.among(jobs.c.unique_key, "keys"),
            dialect.among(jobs.c.queue, "queues"),
            one_of(*LIVE),
        )
        in_queue = jobs.c.queue == bindparam("of_queue", type_=Text)
        self._not_begun = [
            select(jobs.c.id, jobs.c.state)
            .where(in_queue, one_of(state))
            .limit(bindparam("limit", type_=Integer))
            .with_for_update(skip_locked=True)
            for state in NOT_BEGUN
        ]
        self._queues_of = select(jobs.c.queue).distinct().where(dialect.among(jobs.c.id))
        self._deletions = [
            delete(table).where(dialect.among(column))
            for table, column in ((events, events.c.job_id), (jobs, jobs.c.id))
        ]

    # -- jobs ------------------------------------------------------------------------------

    def admit(self, connection: Connection, ids: Sequence[str]) -> Answer:
        """Queue jobs that wait."""
        found = self._moves.locked(connection, ids)
        chosen = _in_states(ids, found, JobState.WAITING)
        values = {"reason": Reason.ADMITTED, "due_at": self._dialect.now}
        self._moves.queue(connection, chosen, JobState.WAITING, values)
        return _verdicts(ids, found, chosen), {found[job_id].queue for job_id in chosen}

    def cancel(self, connection: Connection, ids: Sequence[str], by: str) -> list[Verdict]:
        """Cancel jobs that do not run, and ask those that do to stop."""
        found = self._moves.locked(connection, ids)
        self._cancel_at_once(connection, found, clean(by))
        running = _in_states(ids, found, JobState.RUNNING)
        if running:
            among = self._dialect.among(jobs.c.id)
            asked = update(jobs).where(among).values(cancel_by=clean(by))
            connection.execute(asked, {"ids": running})
        verdicts = _verdicts(ids, found, _in_states(ids, found, *NOT_BEGUN))
        requested = set(running)
        return [
            Verdict.REQUESTED if job_id in requested else verdict
            for job_id, verdict in zip(ids, verdicts, strict=True)
        ]

    def _cancel_at_once(
        self, connection: Connection, found: dict[str, AnyRow], by: str
    ) -> list[str]:
        cancelled: list[str] = []
        for state in NOT_BEGUN:
            chosen = _in_states(found, found, state)
            values = self._moves.ended(JobState.CANCELLED, Reason.CANCELLED_BY, by)
            self._moves.move(connection, chosen, state, values)
            cancelled += chosen
        return cancelled

    def retry(
        self, connection: Connection, ids: Sequence[str], args: bytes | None, by: str
    ) -> Answer:
        """Queue dead letters and cancelled jobs anew, unless their key is taken."""
        found = self._moves.locked(connection, ids)
        wanted = _in_states(ids, found, *_RETRIED)
        conflicts = self._conflicts(connection, [found[job_id] for job_id in wanted])
        chosen = [job_id for job_id in wanted if job_id not in conflicts]
        values = self._anew(clean(by)) | ({} if args is None else {"args": args})
        for state in _RETRIED:
            self._moves.queue(connection, _in_states(chosen, found, state), state, values)
        verdicts = zip(ids, _verdicts(ids, found, chosen), strict=True)
        told = [Verdict.CONFLICT if job_id in conflicts else one for job_id, one in verdicts]
        return told, {found[job_id].queue for job_id in chosen}

    def _conflicts(self, connection: Connection, rows: Sequence[AnyRow]) -> set[str]:
        """Those of the jobs whose key a live job holds, or one that is named before them."""
        taken = self._taken(connection, rows)
        conflicts = set()
        for row in rows:
            if row.unique_key is not None:
                if (row.queue, row.unique_key) in taken:
                    conflicts.add(row.id)
                taken.add((row.queue, row.unique_key))
        return conflicts

    def _taken(self, connection: Connection, rows: Sequence[AnyRow]) -> set[tuple[str, str]]:
        """The queues and keys that a live job holds."""
        keys = {row.unique_key for row in rows if row.unique_key is not None}
        if not keys:
            return set()
        parameters = {"keys": list(keys), "queues": list({row.queue for row in rows})}
        held = connection.execute(self._live_holders, parameters)
        return {(row.queue, row.unique_key) for row in held}

    def _anew(self, by: str) -> dict[str, Any]:
        none = dict.fromkeys(
            ("expires_at", "finished_at", "delete_at", "cancel_by", "result"), None
        )
        zero = literal_column("0", Integer)
        return none | {
            "reason": Reason.RETRIED,
            "detail": by,
            "due_at": self._dialect.now,
            "attempts": zero,
            "kills": zero,
        }

    def discard(self, connection: Connection, ids: Sequence[str]) -> list[Verdict]:
        """Delete ended jobs."""
        found = self._moves.locked(connection, ids)
        chosen = _in_states(ids, found, *ENDED)
        self.delete(connection, chosen)
        return _verdicts(ids, found, chosen)

    def delete(self, connection: Connection, ids: Sequence[str]) -> None:
        """Delete jobs and their events; their queues stay known."""
        if not ids:
            return
        names = [row.queue for row in connection.execute(self._queues_of, {"ids": ids})]
        known = self._insert(queues).values(name=bindparam("of_queue", type_=Text), paused=False)
        rows = [{"of_queue": name} for name in sorted(names)]
        connection.execute(known.on_conflict_do_nothing(), rows)
        for statement in self._deletions:
            connection.execute(statement, {"ids": ids})

    # -- queues ----------------------------------------------------------------------------

    def pause(self, connection: Connection, queue: str, *, paused: bool) -> None:
        """Stop claims from a queue, or let them go on."""
        statement = self._insert(queues).values(name=queue, paused=paused)
        statement = statement.on_conflict_do_update(
            index_elements=[queues.c.name], set_={"paused": paused}
        )
        connection.execute(statement)

    def purge(self, connection: Connection, queue: str, limit: int) -> list[str]:
        """Cancel up to `limit` jobs of each state that have not begun; returns their ids."""
        cancelled: list[str] = []
        for statement in self._not_begun:
            rows = connection.execute(statement, {"of_queue": queue, "limit": limit})
            found = {row.id: row for row in rows}
            cancelled += self._cancel_at_once(connection, found, "purge")
        return cancelled


def _in_states(ids: Iterable[str], found: dict[str, AnyRow], *states: JobState) -> list[str]:
    """Those of `ids` that were found in one of `states`, each once, in their order."""
    wanted = {state.value for state in states}
    return [one for one in dict.fromkeys(ids) if one in found and found[one].state in wanted]


def _verdicts(
    ids: Sequence[str], found: dict[str, AnyRow], applied: Sequence[str]
) -> list[Verdict]:
    done = set(applied)
    return [
        Verdict.MISSING
        if job_id not in found
        else (Verdict.APPLIED if job_id in done else Verdict.STALE)
        for job_id in ids
    ]
