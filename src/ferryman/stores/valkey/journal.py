"""A job's events: the first follows from its specification, the others from its journal, what it
reported and its log. And the events of the feed, each written out as a whole."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from ferryman.domain.job import EventKind, JobEvent, LogLine
from ferryman.domain.states import JobState, Reason
from ferryman.stores.valkey.codes import REASON_OF, STATE_OF
from ferryman.stores.valkey.records import (
    Description,
    Record,
    moment,
    read_progress,
    read_reports,
    unpack_id,
)

KEPT_FIRST = 10
"""Entries at the beginning that a full journal keeps (`lua/include/journal.lua` says the same)."""


class _Entry(NamedTuple):
    at: int
    source: JobState
    target: JobState
    reason: Reason
    token: int
    worker: bytes
    detail: bytes


def _entries(journal: bytes) -> Iterator[_Entry]:
    at = 0
    while at < len(journal):
        size = int.from_bytes(journal[at : at + 2], "big")
        yield _read_entry(journal[at + 2 : at + 2 + size])
        at += 2 + size


def _read_entry(data: bytes) -> _Entry:
    worker_end = 16 + data[15]
    return _Entry(
        at=int.from_bytes(data[0:6], "big"),
        source=STATE_OF[data[6]],
        target=STATE_OF[data[7]],
        reason=REASON_OF[data[8]],
        token=int.from_bytes(data[9:15], "big"),
        worker=data[16:worker_end],
        detail=data[worker_end + 2 :],
    )


BETWEEN = 1 << 24
"""Numbers from one change of state to the next, for the reports that come in between."""

_KINDS = (EventKind.STATE, EventKind.PROGRESS, EventKind.LOG)

_read_line = msgspec.msgpack.Decoder(LogLine).decode


class About(NamedTuple):
    """What every event tells of its job."""

    job_id: str
    queue: str
    description: Description

    def event(self, **fields: Any) -> JobEvent:
        """An event of the job."""
        about = self.description
        return JobEvent(
            job_id=self.job_id, queue=self.queue, task=about.task, user=about.user, **fields
        )


def read_events(about: About, record: Record, log: Iterable[bytes]) -> list[JobEvent]:
    """All events that are left, oldest first."""
    events = list(_changes(about, record))
    events += _progress(about, record.state.progress, events)
    events += (read_told(about, entry) for entry in log)
    return sorted(events, key=lambda event: event.seq)


def _changes(about: About, record: Record) -> Iterator[JobEvent]:
    spec, state = record
    yield about.event(
        seq=BETWEEN,
        at=moment(spec.created),
        source=None,
        target=spec.initial,
        reason=Reason.SUBMITTED,
    )
    entries = list(_entries(state.journal))
    dropped = state.changes - len(entries)
    worker: bytes = b""
    for number, entry in enumerate(entries):
        # Only a claim writes down who: whoever holds the job from then on is the same worker.
        worker = entry.worker or (worker if entry.source is JobState.RUNNING else b"")
        behind_gap = dropped if number >= KEPT_FIRST else 0
        yield about.event(
            seq=(2 + number + behind_gap) * BETWEEN,
            at=moment(entry.at),
            source=entry.source,
            target=entry.target,
            reason=entry.reason,
            detail=entry.detail.decode(),
            # Before its first claim a job has no token that anyone was given.
            token=0 if entry.token == spec.created else entry.token,
            worker=unpack_id(worker) if worker else None,
        )


def _progress(about: About, stored: bytes, changes: Sequence[JobEvent]) -> Iterator[JobEvent]:
    """The event of the latest progress; its holder is whoever held the job then."""
    reports = read_reports(stored)
    if reports.progress is None:
        return
    claims = (one for one in reversed(changes) if one.target is JobState.RUNNING)
    claim = next((one for one in claims if one.seq < reports.seq), None)
    yield about.event(
        kind=EventKind.PROGRESS,
        seq=reports.seq,
        at=moment(reports.at),
        source=JobState.RUNNING,
        target=JobState.RUNNING,
        reason=Reason.CLAIMED,
        token=claim.token if claim else 0,
        worker=claim.worker if claim else None,
        progress=reports.progress,
    )


def read_told(about: About, data: bytes) -> JobEvent:
    """An event that was written out as a whole, for the feed or as a line of the log."""
    kind, worker_end = _KINDS[data[0]], 25 + data[24]
    worker, rest = data[25:worker_end], data[worker_end:]
    return about.event(
        kind=kind,
        seq=int.from_bytes(data[1:9], "big"),
        at=moment(int.from_bytes(data[9:15], "big")),
        source=STATE_OF.get(data[15]),
        target=STATE_OF[data[16]],
        reason=REASON_OF[data[17]],
        token=int.from_bytes(data[18:24], "big"),
        worker=unpack_id(worker) if worker else None,
        detail=rest.decode() if kind is EventKind.STATE else "",
        progress=read_progress(rest) if kind is EventKind.PROGRESS else None,
        line=_read_line(rest) if kind is EventKind.LOG else None,
    )
