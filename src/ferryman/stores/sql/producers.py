"""Taking jobs in, in a transaction of the store's own or in the caller's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    Text,
    case,
    delete,
    insert,
    literal_column,
    select,
    true,
)

from ferryman.domain.errors import JobExists, StoreError
from ferryman.domain.job import NewJob, Submitted
from ferryman.domain.states import JobState, Reason
from ferryman.stores.sql.dialect import Dialect, Repeated, Rows, later
from ferryman.stores.sql.moves import Moves
from ferryman.stores.sql.places import Place, Places
from ferryman.stores.sql.records import clean, milliseconds, packed_options, packed_tags
from ferryman.stores.sql.tables import LIVE, constant, events, jobs, one_of

_ROUNDS: Final = 10
"""How often a key's holder may vanish between being met and being looked up."""

_Key = tuple[str, str | None]

_Created = dict[str, Place | None]
"""The ids of new jobs, with the places of those that are queued, where these are told."""


class Intake(msgspec.Struct, frozen=True):
    """What a submit led to: an answer for each job, or for each up to the one that was refused.

    `places` are those of the new jobs that are queued.
    """

    answers: list[Submitted | JobExists]
    places: tuple[Place, ...] = ()

    def submitted(self) -> list[Submitted]:
        """The answers.

        Raises:
            JobExists: one of them is a refusal.
        """
        for one in self.answers:
            if isinstance(one, JobExists):
                raise one
        return [one for one in self.answers if isinstance(one, Submitted)]

    def queues(self, jobs: Sequence[NewJob]) -> set[str]:
        """The queues that got a job which is due now, of these that were submitted."""
        return {
            job.queue
            for one, job in zip(self.answers, jobs, strict=False)
            if isinstance(one, Submitted) and one.created
            if not (job.held or job.delay or job.run_at)
        }


def _row(job: NewJob) -> dict[str, Any]:
    expires_in = job.expires_in
    return {
        "id": job.id,
        "task": job.task,
        "queue": job.queue,
        "priority": job.priority,
        "delay": milliseconds(job.delay),
        "run_at": job.run_at,
        "expires_in": None if expires_in is None else milliseconds(expires_in),
        "unique_key": job.unique,
        "user_key": job.user and clean(job.user),
        "tags": packed_tags(job.tags),
        "options": packed_options(job.options),
        "args": job.args,
        "held": job.held,
    }


class Producers:
    """Submits. Nothing here commits, and no conflict breaks the transaction that it runs in."""

    def __init__(self, dialect: Dialect, moves: Moves, places: Places | None = None) -> None:
        self._dialect = dialect
        self._moves = moves
        self._places = places  # where the places of new jobs are wanted and cost a statement
        self._rows = Rows(
            dialect,
            id=Text(),
            task=Text(),
            queue=Text(),
            priority=Integer(),
            delay=BigInteger(),
            run_at=BigInteger(),
            expires_in=BigInteger(),
            unique_key=Text(),
            user_key=Text(),
            tags=Text(),
            options=LargeBinary(),
            args=LargeBinary(),
            held=Boolean(),
        )
        self._insert = Repeated(self._insertion())
        id_given = dialect.among(jobs.c.id)
        self._known = select(jobs.c.id, jobs.c.queue).where(id_given)
        # What this very transaction put in has a place behind every event that there is.
        self._new = self._known.where(jobs.c.position >= dialect.next_place)
        self._holders = select(jobs.c.id, jobs.c.queue, jobs.c.unique_key).where(
            dialect.among(jobs.c.unique_key, "keys"),
            dialect.among(jobs.c.queue, "queues"),
            one_of(*LIVE),
        )
        self._undo = [
            delete(table).where(dialect.among(column))
            for table, column in ((events, events.c.job_id), (jobs, jobs.c.id))
        ]

    def _values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        now = self._dialect.now
        due = later(now + given["delay"], given["run_at"])
        state = case(
            (given["held"], constant(JobState.WAITING)),
            (due > now, constant(JobState.SCHEDULED)),
            else_=constant(JobState.QUEUED),
        )
        zero = literal_column("0", Integer)
        same = ("id", "task", "queue", "priority", "unique_key", "user_key", "tags", "options")
        return {name: given[name] for name in (*same, "args")} | {
            "state": state,
            "reason": literal_column(f"'{Reason.SUBMITTED.value}'", Text),
            "detail": literal_column("''", Text),
            "position": self._dialect.next_place + given["ordinal"],
            # A token only ever grows, also when an id is used again after its job was deleted.
            "token": now,
            "created_at": now,
            "due_at": due,
            "expires_at": now + given["expires_in"],
            "deliveries": zero,
            "attempts": zero,
            "kills": zero,
        }

    def _insertion(self) -> Any:
        """Inserts what meets no conflict; on PostgreSQL with its events, giving back its ids."""
        values = self._values(self._rows.c)
        rows = select(*values.values())
        if self._rows.table is None:
            rows = rows.where(true())  # without it SQLite takes ON for that of a join
        else:
            rows = rows.select_from(self._rows.table).order_by(self._rows.c["ordinal"])
        # As a suffix, since SQLAlchemy 2.0 compiles its own ON CONFLICT anew for each call.
        statement = insert(jobs).from_select(
            list(values), rows.suffix_with("ON CONFLICT DO NOTHING")
        )
        if self._rows.table is None:
            return statement
        event = ("id", "state", "reason", "detail", "token", "worker")
        place = ("queue", "priority", "position")
        created = statement.returning(*(jobs.c[name] for name in (*event, *place))).cte("created")
        events_of_created = self._moves.told_in(created, None).cte("told")
        seen = (created.c[name] for name in ("id", "state", "queue", "priority", "position"))
        return select(*seen).add_cte(events_of_created)

    def submit(
        self, connection: Connection, batch: Sequence[NewJob], *, whole: bool = False
    ) -> Intake:
        """Take a batch in, up to the first job that is refused; all or nothing if `whole`."""
        created: _Created = {}
        answers: list[Submitted | JobExists] = []
        for part in _distinct(batch):
            new = self._take_in(connection, part)
            given = self._answers(connection, part, new)
            created |= new
            refused = next((n for n, one in enumerate(given) if isinstance(one, JobExists)), None)
            if refused is None:
                answers += given
                continue
            answers += given[: refused + 1]
            undone = set(created) if whole else {job.id for job in part[refused:]} & new.keys()
            self._take_back(connection, undone)
            created = {job_id: one for job_id, one in created.items() if job_id not in undone}
            break
        return Intake(answers, _places_of(created))

    def submit_each(self, connection: Connection, batch: Sequence[NewJob]) -> Intake:
        """Take jobs in that have nothing to do with each other: one is refused for itself alone."""
        created: _Created = {}
        answers: list[Submitted | JobExists] = []
        for part in _distinct(batch):
            new = self._take_in(connection, part)
            answers += self._answers(connection, part, new)
            created |= new
        return Intake(answers, _places_of(created))

    def _answers(
        self, connection: Connection, batch: Sequence[NewJob], created: _Created
    ) -> list[Submitted | JobExists]:
        """What became of each job; `created` grows by those whose key came free meanwhile."""
        if len(created) == len(batch):
            return [Submitted(job.id, job.queue, True) for job in batch]
        known, holders = self._met(connection, batch, created)
        fresh = set(created)
        answers: list[Submitted | JobExists] = []
        for job in batch:
            holder = holders.get((job.queue, job.unique))
            if job.id in known:
                answers.append(Submitted(job.id, known[job.id], job.id in fresh))
                fresh.discard(job.id)
            elif holder is not None and job.on_conflict == "return":
                answers.append(Submitted(holder, job.queue, False))
            else:
                text = f"job {holder} holds the unique key {job.unique!r} in queue {job.queue}"
                answers.append(JobExists(text, holder or ""))
        return answers

    def _met(
        self, connection: Connection, batch: Sequence[NewJob], created: _Created
    ) -> tuple[dict[str, str], dict[_Key, str]]:
        """The queues of the batch's ids that exist, and the holders of the other jobs' keys."""
        ids = [job.id for job in batch]
        for _ in range(_ROUNDS):
            known = {row.id: row.queue for row in connection.execute(self._known, {"ids": ids})}
            refused = [job for job in batch if job.id not in known]
            holders = self._held(connection, refused)
            missed = [job for job in refused if (job.queue, job.unique) not in holders]
            if not missed:
                return known, holders
            created |= self._take_in(connection, missed)
        raise StoreError("a unique key changed hands too often; submit again")

    def _held(self, connection: Connection, refused: Iterable[NewJob]) -> dict[_Key, str]:
        keys = {job.unique for job in refused if job.unique is not None}
        if not keys:
            return {}
        queues = {job.queue for job in refused}
        rows = connection.execute(self._holders, {"keys": list(keys), "queues": list(queues)})
        return {(row.queue, row.unique_key): row.id for row in rows}

    def _take_in(self, connection: Connection, batch: Sequence[NewJob]) -> _Created:
        """Insert what meets no conflict, with its events; returns what is new."""
        parameters = self._rows.parameters([_row(job) for job in batch])
        result = self._insert.execute(connection, parameters)
        if self._dialect.postgresql:
            created = {row.id: _place_of(row) for row in result}
        else:
            created = self._told_of(connection, result.rowcount, batch)
        # Each job of the batch has a place of its own, and only what is new has an event.
        self._moves.skip(connection, len(batch) - len(created))
        return created

    def _told_of(self, connection: Connection, count: int, batch: Sequence[NewJob]) -> _Created:
        """Write the events of the `count` jobs that are new; returns them (SQLite)."""
        ids = [job.id for job in batch]
        if count != len(ids):
            ids = [row.id for row in connection.execute(self._new, {"ids": ids})]
        if ids:
            self._moves.tell(connection, ids, None)
        places = self._places.of(connection, ids) if self._places else ()
        return dict.fromkeys(ids) | {place.job_id: place for place in places}

    def _take_back(self, connection: Connection, ids: set[str]) -> None:
        """Delete what this transaction inserted, which nobody else has seen."""
        for statement in self._undo if ids else ():
            connection.execute(statement, {"ids": list(ids)})


def _distinct(batch: Sequence[NewJob]) -> Iterator[list[NewJob]]:
    """The batch in parts that name no id twice: what becomes of the first decides on the next."""
    part: dict[str, NewJob] = {}
    for job in batch:
        if job.id in part:
            yield list(part.values())
            part = {}
        part[job.id] = job
    yield list(part.values())


def _place_of(row: Any) -> Place | None:
    if row.state != JobState.QUEUED:
        return None
    return Place(row.id, row.queue, row.priority, row.position)


def _places_of(created: _Created) -> tuple[Place, ...]:
    return tuple(place for place in created.values() if place is not None)
