"""One typed call a script: arguments in the order in which it takes them, replies as values.

`now` is the injected clock's moment in milliseconds, or "" for the server's own. The header of
each `.lua` file says what these numbers and strings mean.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from ferryman.domain.job import LOG_LINES, LOG_SIZE, Delivery, NewJob, Submitted
from ferryman.domain.outcomes import MAX_KILLS, Ending, Failure
from ferryman.domain.states import JobState
from ferryman.stores.base import ProgressUpdate, Verdict
from ferryman.stores.valkey.codes import STATE_OF, STATES, VERDICTS, Code
from ferryman.stores.valkey.connection import Call
from ferryman.stores.valkey.records import (
    PackedJob,
    Record,
    optional,
    pack_detail,
    pack_ending,
    pack_failure,
    pack_id,
    pack_line,
    pack_new,
    pack_progress,
    read_delivery,
    read_record,
    unpack_id,
)
from ferryman.stores.valkey.scripts import load

Now = int | str
Moves = list[tuple[str, JobState]]


class Target(NamedTuple):
    """A queue's name and the prefix of its keys."""

    queue: str
    prefix: str


def _codes(reply: list[int]) -> list[Verdict]:
    return [VERDICTS[Code(code)] for code in reply]


def _moves(values: list[Any]) -> Moves:
    return [(unpack_id(values[at]), STATE_OF[values[at + 1]]) for at in range(0, len(values), 2)]


# -- producers ---------------------------------------------------------------------------------


class Announced(IntEnum):
    """Whether the name of a queue was made known, and whether somebody followed the feed then."""

    NO = 0
    YES = 1
    HEARD = 2


class Taken(NamedTuple):
    """What `submit` did: each job that it got to, and who held the key that refused the last."""

    submitted: list[Submitted]
    refused_by: str | None


def submit(
    target: Target, now: Now, jobs: Sequence[NewJob], *, announced: Announced
) -> Call[Taken | None]:
    """Take jobs into a queue; `None` is: its name was never announced, nothing was done."""
    arguments: list[Any] = [now, int(announced)]
    for job in jobs:
        arguments += pack_new(job)

    def read(reply: list[Any]) -> Taken | None:
        return None if reply == [Code.UNKNOWN_QUEUE] else _taken(target.queue, jobs, reply)

    return Call(load("queue", "submit"), target.prefix, arguments, read)


_CREATED: Final = int(Code.CREATED)


def _taken(queue: str, jobs: Sequence[NewJob], reply: list[Any]) -> Taken:
    submitted: list[Submitted] = []
    for job, code, holder in zip(jobs, reply[::2], reply[1::2], strict=False):
        if code == _CREATED:  # as nearly all are
            submitted.append(Submitted(job.id, queue, True))
            continue
        answer = _answer(queue, job.id, code, holder)
        if isinstance(answer, str):
            return Taken(submitted, answer)
        submitted.append(answer)
    return Taken(submitted, None)


Each = list[Submitted | str]


def submit_each(
    target: Target,
    now: Now,
    ids: Sequence[str],
    packed: Sequence[PackedJob],
    *,
    announced: Announced,
) -> Call[Each | None]:
    """Take jobs in that have nothing to do with each other: what was submitted, or who holds the
    key that refused it; `None` as for `submit`."""
    arguments = [now, int(announced), *itertools.chain.from_iterable(packed)]

    def read(reply: list[Any]) -> Each | None:
        if reply == [Code.UNKNOWN_QUEUE]:
            return None
        answers = zip(ids, reply[::2], reply[1::2], strict=True)
        return [_answer(target.queue, *answer) for answer in answers]

    return Call(load("queue", "submit"), target.prefix, arguments, read)


def _answer(queue: str, job_id: str, code: int, holder: bytes) -> Submitted | str:
    if code == Code.REFUSED:
        return unpack_id(holder)
    there = unpack_id(holder) if code == Code.RETURNED else job_id
    return Submitted(there, queue, code == Code.CREATED)


def announce(shared: str, queue: str) -> Call[Announced]:
    """Make a queue's name known."""

    def read(heard: int) -> Announced:
        return Announced.HEARD if heard else Announced.YES

    return Call(load("shared", "announce"), shared, [queue], read)


def _verdicts(name: str, target: Target, *head: Any, ids: Iterable[str]) -> Call[list[Verdict]]:
    arguments = [*head, *map(pack_id, ids)]
    return Call(load("queue", name), target.prefix, arguments, _codes)


def admit(target: Target, now: Now, ids: Sequence[str]) -> Call[list[Verdict]]:
    """Let waiting jobs go on."""
    return _verdicts("admit", target, now, ids=ids)


def cancel(target: Target, now: Now, by: str, ids: Sequence[str]) -> Call[list[Verdict]]:
    """Cancel jobs, or ask running ones to stop."""
    return _verdicts("cancel", target, now, pack_detail(by), ids=ids)


def retry(
    target: Target, now: Now, by: str, args: bytes | None, ids: Sequence[str]
) -> Call[list[Verdict]]:
    """Send ended jobs back to their queue, with other arguments where some are given."""
    edited = int(args is not None)
    return _verdicts("retry", target, now, pack_detail(by), edited, args or b"", ids=ids)


def discard(target: Target, ids: Sequence[str]) -> Call[list[Verdict]]:
    """Delete ended jobs."""
    return _verdicts("discard", target, ids=ids)


# -- deliveries --------------------------------------------------------------------------------


class Claimed(NamedTuple):
    """What `claim` gave; `more` is: it stopped early, and entries are left."""

    code: Code
    more: bool
    deliveries: list[Delivery]


_DELIVERY_SIZE: Final = 8


def _claimed(queue: str) -> Callable[[list[Any]], Claimed]:
    def read(reply: list[Any]) -> Claimed:
        deliveries = [
            read_delivery(queue, reply[at : at + _DELIVERY_SIZE])
            for at in range(2, len(reply), _DELIVERY_SIZE)
        ]
        return Claimed(Code(reply[0]), bool(reply[1]), deliveries)

    return read


def claim(target: Target, now: Now, worker: str, limit: int, join_until: int) -> Call[Claimed]:
    """Give queued jobs to a worker; `join_until` brings it the lease that it has elsewhere."""
    arguments = [now, pack_id(worker), limit, join_until]
    return Call(load("queue", "claim"), target.prefix, arguments, _claimed(target.queue))


def _endings(endings: Iterable[Ending]) -> list[bytes]:
    return [part for ending in endings for part in pack_ending(ending)]


def finish(target: Target, now: Now, endings: Sequence[Ending]) -> Call[list[Verdict]]:
    """End deliveries."""
    return Call(load("queue", "finish"), target.prefix, [now, *_endings(endings)], _codes)


def finish_and_claim(
    target: Target, now: Now, endings: Sequence[Ending], worker: str, limit: int
) -> Call[tuple[list[Verdict], Claimed]]:
    """`finish`, then `claim`."""
    claimed = _claimed(target.queue)
    arguments = [now, pack_id(worker), limit, *_endings(endings)]

    def read(reply: list[Any]) -> tuple[list[Verdict], Claimed]:
        return _codes(reply[0]), claimed(reply[1])

    return Call(load("queue", "finish_and_claim"), target.prefix, arguments, read)


def progress(target: Target, now: Now, updates: Sequence[ProgressUpdate]) -> Call[list[Verdict]]:
    """Record progress, checkpoints and lines."""
    arguments: list[Any] = [now, LOG_LINES, LOG_SIZE]
    for update in updates:
        lines = update.lines[-LOG_LINES:]
        arguments += (pack_id(update.job_id), update.token)
        arguments += (pack_progress(update.progress), optional(update.checkpoint))
        arguments += (len(lines), *map(pack_line, lines))
    return Call(load("queue", "progress"), target.prefix, arguments, _codes)


# -- leases ------------------------------------------------------------------------------------


def register(shared: str, now: Now, worker: str, lease: int, description: bytes) -> Call[int]:
    """Give a worker its lease of `lease` milliseconds."""
    arguments = [now, pack_id(worker), lease, description]
    return Call(load("shared", "register"), shared, arguments, int)


def extend(
    shared: str, now: Now, worker: str, lease: int, description: bytes
) -> Call[list[str] | None]:
    """Extend a lease; the queues that know it, or `None` where it is over."""

    def read(reply: list[Any]) -> list[str] | None:
        return [name.decode() for name in reply[1:]] if reply[0] == Code.APPLIED else None

    return Call(load("shared", "extend"), shared, [now, pack_id(worker), lease, description], read)


def join(shared: str, now: Now, worker: str, queue: str) -> Call[int]:
    """The end of a lease that the worker may bring to `queue`, or 0."""
    return Call(load("shared", "join"), shared, [now, pack_id(worker), queue], int)


def leave_all(shared: str, worker: str) -> Call[list[str]]:
    """Forget a worker; the queues that know its lease."""

    def read(reply: list[bytes]) -> list[str]:
        return [name.decode() for name in reply]

    return Call(load("shared", "leave"), shared, [pack_id(worker)], read)


def leave(target: Target, worker: str) -> Call[int]:
    """Forget a worker's lease on a queue."""
    return Call(load("queue", "leave"), target.prefix, [pack_id(worker)], int)


def rouse(target: Target, worker: str) -> Call[int]:
    """Let a worker wait no more on a queue."""
    return Call(load("queue", "rouse"), target.prefix, [pack_id(worker)], int)


def renew(target: Target, now: Now, worker: str, lease: int) -> Call[list[tuple[str, int]] | None]:
    """Extend a lease on a queue; the jobs that were asked to stop, or `None` where it is over."""

    def read(reply: list[Any]) -> list[tuple[str, int]] | None:
        if reply[0] == Code.LEASE_LOST:
            return None
        return [(unpack_id(reply[at]), int(reply[at + 1])) for at in range(1, len(reply), 2)]

    return Call(load("queue", "renew"), target.prefix, [now, pack_id(worker), lease], read)


class HandBack(NamedTuple):
    """Which jobs of a worker go back, and what that costs them."""

    worker: str
    kill: bool
    spare: Collection[str]
    keep: Collection[str]


def hand_back(
    target: Target, now: Now, what: HandBack, limit: int, kept: int
) -> Call[tuple[int, int, Moves]]:
    """Send back jobs: how many were looked at, how many of them stay, where the others went."""
    detail = "the worker's process died" if what.kill else ""
    arguments: list[Any] = [now, pack_id(what.worker), limit, kept, int(what.kill), MAX_KILLS]
    arguments += [_lost(detail), pack_detail(detail), len(what.spare)]
    arguments += map(pack_id, [*what.spare, *what.keep])

    def read(reply: list[Any]) -> tuple[int, int, Moves]:
        return reply[0], reply[1], _moves(reply[2:])

    return Call(load("queue", "hand_back"), target.prefix, arguments, read)


def _lost(message: str) -> bytes:
    return pack_failure(Failure(kind="ferryman.ProcessLost", message=message))


# -- upkeep ------------------------------------------------------------------------------------


def reap(target: Target, now: Now, limit: int, remember: int) -> Call[Moves]:
    """Send back the jobs of workers whose lease is over."""
    detail = "the worker's lease ended"
    arguments = [now, limit, MAX_KILLS, _lost(detail), pack_detail(detail), remember]
    return Call(load("queue", "reap"), target.prefix, arguments, _moves)


def forget_workers(shared: str, now: Now, age: int) -> Call[int]:
    """Forget workers whose lease ended `age` milliseconds ago."""
    return Call(load("shared", "forget"), shared, [now, age], int)


def promote(target: Target, now: Now, limit: int) -> Call[tuple[int, float | None]]:
    """Queue due jobs: how many, and the seconds until the next is due."""

    def read(reply: list[int]) -> tuple[int, float | None]:
        return reply[0], None if reply[1] < 0 else reply[1] / 1000

    return Call(load("queue", "promote"), target.prefix, [now, limit], read)


def expire(target: Target, now: Now, limit: int) -> Call[int]:
    """Fail jobs that were not started in time."""
    return Call(load("queue", "expire"), target.prefix, [now, limit], int)


def prune(target: Target, now: Now, limit: int, age: int, history: int) -> Call[int]:
    """Delete ended jobs; -1 as `age` or `history` is: no limit."""
    return Call(load("queue", "prune"), target.prefix, [now, limit, age, history], int)


def purge(target: Target, now: Now, limit: int, detail: str) -> Call[tuple[int, bool]]:
    """Cancel what neither runs nor has ended: how many, and whether there may be more."""
    arguments = [now, limit, pack_detail(detail)]

    def read(reply: list[int]) -> tuple[int, bool]:
        return reply[0], bool(reply[1])

    return Call(load("queue", "purge"), target.prefix, arguments, read)


def pause(target: Target, *, paused: bool) -> Call[int]:
    """Stop claims from a queue, or let them go on."""
    return Call(load("queue", "pause"), target.prefix, [int(paused)], int)


# -- readers -----------------------------------------------------------------------------------


def locate(target: Target, ids: Sequence[str]) -> Call[list[bool]]:
    """Which ids are jobs of this queue."""

    def read(reply: list[int]) -> list[bool]:
        return [bool(found) for found in reply]

    return Call(load("queue", "locate"), target.prefix, [pack_id(one) for one in ids], read)


def read(target: Target, ids: Sequence[str]) -> Call[list[Record | None]]:
    """The records of some jobs."""

    def records(reply: list[bytes]) -> list[Record | None]:
        return [read_record(*reply[at : at + 3]) for at in range(0, len(reply), 3)]

    return Call(load("queue", "read"), target.prefix, [pack_id(one) for one in ids], records)


Position = tuple[bytes, bytes]


class Stretch(NamedTuple):
    """Some jobs of a listing, the entries looked at, and where it goes on (`None`: nowhere)."""

    records: list[tuple[str, Record]]
    looked: int
    position: Position | None


def list_jobs(target: Target, state: JobState, limit: int, position: Position) -> Call[Stretch]:
    """A stretch of the jobs in one state; looks at `limit` entries at most."""

    def stretch(reply: list[Any]) -> Stretch:
        following = (reply[0], reply[1])
        found = []
        for at in range(3, len(reply), 4):
            record = read_record(*reply[at + 1 : at + 4])
            if record:
                found.append((unpack_id(reply[at]), record))
        return Stretch(found, reply[2], following if any(following) else None)

    arguments: list[Any] = [STATES[state], limit, *position]
    return Call(load("queue", "list"), target.prefix, arguments, stretch)


def history(target: Target, job_id: str) -> Call[tuple[Record, list[bytes]] | None]:
    """A job's record and the lines of its log."""

    def read(reply: list[bytes]) -> tuple[Record, list[bytes]] | None:
        record = read_record(*reply[:3])
        return None if record is None else (record, reply[3:])

    return Call(load("queue", "history"), target.prefix, [pack_id(job_id)], read)


class Stream(NamedTuple):
    """A stretch of a queue's events: whether all of them are there, where it goes on, and whether
    there is more.

    Each event is a job's id, its description and what happened, as they are stored.
    """

    whole: bool
    period: bytes
    position: bytes
    more: bool
    events: list[tuple[bytes, bytes, bytes]]


def feed(target: Target, after: bytes, period: bytes, limit: int, keep: int) -> Call[Stream]:
    """What happened in a queue, which is written down for `keep` more milliseconds."""

    def read(reply: list[Any]) -> Stream:
        code, listening, position, more, *rest = reply
        events = list(zip(rest[::3], rest[1::3], rest[2::3], strict=True))
        return Stream(code == Code.APPLIED, listening, position, more == 1, events)

    return Call(load("queue", "feed"), target.prefix, [after, period, limit, keep], read)


def figures(target: Target, now: Now) -> Call[list[int]]:
    """A queue's figures, in the order that the script's header says."""
    return Call(load("queue", "figures"), target.prefix, [now], list)


def workers(shared: str, now: Now) -> Call[tuple[int, list[list[bytes]]]]:
    """The moment, and each known worker: id, description, end of its lease, its queues."""

    def read(reply: list[Any]) -> tuple[int, list[list[bytes]]]:
        return reply[0], reply[1:]

    return Call(load("shared", "workers"), shared, [now], read)


def tally(target: Target, steps: Iterable[tuple[int, int, int, Sequence[int]]]) -> Call[int]:
    """Add counts, each with its step (s), where it begins, and how long it is kept (ms)."""
    arguments: list[Any] = []
    for step, at, keep, count in steps:
        values = [(measure, value) for measure, value in enumerate(count) if value]
        arguments += (step, at, keep, len(values), *itertools.chain.from_iterable(values))
    return Call(load("queue", "tally"), target.prefix, arguments, int)


def change_key(shared: str, id: str, new: bytes, known: bytes) -> Call[bool]:
    """Keep an API key, if what is `known` of its id is still so (empty: nothing)."""
    return Call(load("shared", "change_key"), shared, [id, new, known], bool)


def command(*arguments: bytes | str | int | float) -> Call[Any]:
    """A plain command of the server."""
    return Call(None, "", arguments, lambda reply: reply)
