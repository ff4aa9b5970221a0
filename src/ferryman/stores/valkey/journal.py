"""A job's events: the first follows from its specification, the others from its journal."""

from collections.abc import Iterator
from typing import NamedTuple

from ferryman.domain.job import JobEvent
from ferryman.domain.states import JobState, Reason
from ferryman.stores.valkey.codes import REASON_OF, STATE_OF
from ferryman.stores.valkey.records import Record, moment, unpack_id

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


def read_events(job_id: str, record: Record) -> list[JobEvent]:
    """All events that are left, oldest first."""
    spec, state = record
    events = [
        JobEvent(
            seq=1,
            job_id=job_id,
            at=moment(spec.created),
            source=None,
            target=spec.initial,
            reason=Reason.SUBMITTED,
        )
    ]
    entries = list(_entries(state.journal))
    dropped = state.changes - len(entries)
    worker: bytes = b""
    for number, entry in enumerate(entries):
        # Only a claim writes down who: whoever holds the job from then on is the same worker.
        worker = entry.worker or (worker if entry.source is JobState.RUNNING else b"")
        behind_gap = dropped if number >= KEPT_FIRST else 0
        events.append(_event(2 + number + behind_gap, job_id, spec.created, entry, worker))
    return events


def _event(seq: int, job_id: str, created: int, entry: _Entry, worker: bytes) -> JobEvent:
    return JobEvent(
        seq=seq,
        job_id=job_id,
        at=moment(entry.at),
        source=entry.source,
        target=entry.target,
        reason=entry.reason,
        detail=entry.detail.decode(),
        # Before its first claim a job has no token that anyone was given.
        token=0 if entry.token == created else entry.token,
        worker=unpack_id(worker) if worker else None,
    )
