"""Pages of jobs: queue after queue and state after state, each index from its newest end.

A cursor says where the page before ended: which queue, which state, and the index's own position.
It is opaque to callers; one that this module did not write is refused.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from ferryman.codec import as_stored
from ferryman.domain.errors import ConfigError
from ferryman.domain.job import Job
from ferryman.domain.states import JobState
from ferryman.stores.base import JobFilter, Judge
from ferryman.stores.valkey.calls import Position

ORDER: Final = (
    JobState.RUNNING,
    JobState.QUEUED,
    JobState.SCHEDULED,
    JobState.WAITING,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.SUCCEEDED,
)
"""The states in the order of pages that name none: what goes on now comes first."""

START: Final[Position] = (b"", b"")


class Place(NamedTuple):
    """Where a listing stands: within one index, behind a position of it."""

    queue: str
    state: JobState
    position: Position = START


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[str, JobState, bytes, bytes]).decode


def write_cursor(place: Place) -> str:
    """The cursor of a page that ends at `place`."""
    return base64.urlsafe_b64encode(_encode((place.queue, place.state, *place.position))).decode()


def read_cursor(cursor: str) -> Place:
    """The place that a cursor names.

    Raises:
        ConfigError: it was not made here.
    """
    try:
        queue, state, place, last = _decode(base64.b64decode(cursor, b"-_", validate=True))
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{cursor!r} is not a cursor of this store") from error
    return Place(queue, state, (place, last))


def places(queues: Sequence[str], where: JobFilter, start: Place | None) -> list[Place]:
    """The indexes that a listing goes through, from `start` on."""
    states = ORDER if where.state is None else (where.state,)
    names = [queue for queue in queues if where.queue in (None, queue)]
    if start is None:
        return [Place(queue, state) for queue in names for state in states]
    ahead = [
        Place(queue, state)
        for queue in names
        for state in states
        if (queue, ORDER.index(state)) > (start.queue, ORDER.index(start.state))
    ]
    return [start, *ahead]


def matches(job: Job, where: JobFilter) -> bool:
    """Whether a job is what a reader asked for."""
    return (
        (where.state is None or job.state is where.state)
        and (where.task is None or job.task == where.task)
        and (where.queue is None or job.queue == where.queue)
        and (where.user is None or job.user == where.user)
        and (where.tag is None or where.tag in job.tags)
        and (where.text is None or as_stored(where.text) in job.args)
        and (where.since is None or job.created_at >= where.since)
        and (where.until is None or job.created_at < where.until)
    )


def indexed(where: JobFilter) -> bool:
    """Whether the indexes alone answer a filter."""
    return where == JobFilter(state=where.state, queue=where.queue)


class Sieve(NamedTuple):
    """What a listing lets through."""

    where: JobFilter
    accepts: Judge

    @property
    def takes_all(self) -> bool:
        """Whether the indexes alone answer it."""
        return self.accepts is None and indexed(self.where)

    def takes(self, job: Job) -> bool:
        """Whether it lets a job through."""
        return matches(job, self.where) and (self.accepts is None or self.accepts(job))
