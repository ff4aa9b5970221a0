"""How jobs are laid out as bytes: what the scripts store, and what comes back from them.

The numbers in front are for the scripts (`lua/include/specification.lua` and `state.lua` read the
same layout); descriptions, arguments, results and failures are opaque to them. Ids that are UUIDs
take 16 bytes instead of 36: byte 8 of a UUID is never ASCII, so no id in plain text is like one.
"""

import functools
import struct
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from ferryman.domain.ids import check_name
from ferryman.domain.job import LINE_LENGTH, Delivery, Job, JobOptions, LogLine, NewJob, Progress
from ferryman.domain.outcomes import Ending, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores.valkey.codes import REASON_OF, REASONS, STATE_OF, STATES

DETAIL_LIMIT: Final = 1000
"""Characters of a detail that are kept: each event carries its own."""

_INITIAL: Final = (JobState.QUEUED, JobState.SCHEDULED, JobState.WAITING)
_EXTENDED: Final = 4
_NO_OPTIONS: Final = JobOptions()
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class Description(msgspec.Struct, frozen=True, array_like=True):
    """What of a new job is only carried along."""

    task: str
    user: str | None = None
    tags: tuple[str, ...] = ()
    options: JobOptions = JobOptions()


_describe: Final = msgspec.msgpack.Encoder().encode
read_description: Final = msgspec.msgpack.Decoder(Description).decode
_read_failure: Final = msgspec.msgpack.Decoder(Failure).decode
read_progress: Final = msgspec.msgpack.Decoder(Progress).decode


# -- ids ---------------------------------------------------------------------------------------


def pack_id(job_id: str) -> bytes:
    """A job's or worker's id as it is stored. Text that is no legal id is like no stored one."""
    if len(job_id) == 36 and job_id[19] in "89ab" and job_id[8::5][:4] == "----":
        digits = job_id.replace("-", "")
        try:
            packed = bytes.fromhex(digits)
        except ValueError:
            packed = b""
        if len(packed) == 16 and packed.hex() == digits:  # else it has capitals, or blanks
            return packed
    return job_id.encode("ascii", "backslashreplace")


def pack_new_id(job_id: str) -> bytes:
    """The id of a job to be stored.

    Raises:
        InvalidName: an id outside of the allowed pattern, which could not be read back.
    """
    packed = pack_id(job_id)
    if not is_uuid(packed):
        check_name(job_id, "job id")
    return packed


def is_uuid(packed: bytes) -> bool:
    """Whether a packed id is a UUID, and not text."""
    return len(packed) == 16 and packed[8] >= 0x80


def unpack_id(packed: bytes) -> str:
    """The id behind `pack_id`."""
    if is_uuid(packed):
        text = packed.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return packed.decode()


# -- small values ------------------------------------------------------------------------------


def milliseconds(seconds: float) -> int:
    """Seconds as the whole milliseconds that the scripts count in."""
    return max(0, round(seconds * 1000))


def moment(value: int) -> datetime:
    """A moment from epoch milliseconds, exactly."""
    return _EPOCH + timedelta(milliseconds=value)


def _moment_or_none(value: int) -> datetime | None:
    return moment(value) if value else None


def optional(value: bytes | None) -> bytes:
    """Bytes that may be missing: nothing at all, or a mark and then the bytes."""
    return b"" if value is None else b"+" + value


def read_optional(stored: bytes) -> bytes | None:
    """What `optional` wrote."""
    return stored[1:] if stored else None


def pack_detail(detail: str) -> bytes:
    """A detail, cut to what is kept of it."""
    return detail[:DETAIL_LIMIT].encode()


def pack_failure(failure: Failure | None) -> bytes:
    """An error as it is stored."""
    return _describe(failure) if failure else b""


def pack_line(line: LogLine) -> bytes:
    """A line of a log as it is stored, cut to what is kept of it."""
    return _describe(LogLine(line.level, line.text[:LINE_LENGTH]))


def pack_progress(progress: Progress | None) -> bytes:
    """A progress as it is stored."""
    return _describe(progress) if progress else b""


# -- requests ----------------------------------------------------------------------------------


PackedJob = tuple[bytes, bytes, bytes, bytes]
"""A new job as `submit` takes it: id, head, unique key, description and arguments."""

_REFUSE, _RETURN, _REFUSE_ALONE = range(3)

# Priority; delay, run at and expires (2 and 4 bytes each); held, on conflict; length of the
# description (1 and 2 bytes).
_NEW_HEAD: Final = struct.Struct(">hHIHIHIBBBH")
_LOW: Final = 2**32 - 1


def pack_new(job: NewJob, *, alone: bool = False) -> PackedJob:
    """A new job as it is stored.

    Args:
        alone: where its unique key refuses it, the jobs behind it in the same call are not.

    Raises:
        InvalidName: an id outside of the allowed pattern.
    """
    description = _pack_description(job)
    refuse = _REFUSE_ALONE if alone else _REFUSE
    conflict = _RETURN if job.on_conflict == "return" else refuse
    when = (job.delay, job.run_at, job.expires_in)
    head = _new_head(job.priority, when, job.held, conflict, len(description))
    unique = job.unique.encode() if job.unique else b""
    return pack_new_id(job.id), head, unique, description + job.args


_When = tuple[float, int | None, float | None]


@functools.lru_cache(256)
def _new_head(  # those of jobs that are enqueued together are alike
    priority: int, when: _When, held: bool, conflict: int, size: int
) -> bytes:
    delay, run_at, expires_in = when
    later = milliseconds(delay) if delay else 0
    moment = max(0, run_at or 0)
    expires = 0 if expires_in is None else milliseconds(expires_in) + 1
    return _NEW_HEAD.pack(
        priority,
        *(later >> 32, later & _LOW, moment >> 32, moment & _LOW, expires >> 32, expires & _LOW),
        *(held, conflict, size >> 16, size & 0xFFFF),
    )


def _pack_description(job: NewJob) -> bytes:
    if job.user is None and not job.tags and job.options == _NO_OPTIONS:
        return _describe((job.task,))  # most jobs have no more, and need not pay for it
    return _describe(Description(job.task, job.user, job.tags, job.options))


_ENDING_HEAD: Final = struct.Struct(">QBBQBBQ")
_TOKEN_LIMIT: Final = 2**48 - 1


def pack_ending(ending: Ending) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """An ending as `finish` takes it: id, head, detail, result, failure."""
    head = _ENDING_HEAD.pack(
        min(max(0, ending.token), _TOKEN_LIMIT),
        STATES[ending.state],
        REASONS[ending.reason],
        milliseconds(ending.delay),
        ending.charge,
        ending.kill,
        0 if ending.ttl is None else milliseconds(ending.ttl) + 1,
    )
    detail = pack_detail(ending.detail)
    result = optional(ending.result)
    return pack_id(ending.job_id), head, detail, result, pack_failure(ending.failure)


# -- records -----------------------------------------------------------------------------------


class Specification(NamedTuple):
    """What a job was submitted with; moments in milliseconds, 0 is: none."""

    initial: JobState
    created: int
    priority: int
    due: int
    expires: int
    unique: str | None
    description: Description
    args: bytes


# Flags, created (2 and 4 bytes), priority, length of the description (1 and 2 bytes).
_SPECIFICATION_HEAD: Final = struct.Struct(">BHIhBH")


def _body(blob: bytes, size: int) -> tuple[Description, bytes]:
    """The description, and the arguments behind it."""
    at = _SPECIFICATION_HEAD.size
    if blob[0] & _EXTENDED:
        at += 14 + int.from_bytes(blob[24:26], "big")
    end = at + size
    return read_description(blob[at:end]), blob[end:]


def read_specification(blob: bytes) -> Specification:
    """What `submit` wrote."""
    flags, high, low, priority, size_high, size_low = _SPECIFICATION_HEAD.unpack_from(blob)
    created = high << 32 | low
    due, expires, unique = created, 0, None
    if flags & _EXTENDED:
        due, expires = int.from_bytes(blob[12:18], "big"), int.from_bytes(blob[18:24], "big")
        unique = blob[26 : 26 + int.from_bytes(blob[24:26], "big")].decode() or None
    initial = _INITIAL[flags % _EXTENDED]
    body = _body(blob, size_high << 16 | size_low)
    return Specification(initial, created, priority, due, expires, unique, *body)


class State(NamedTuple):
    """What changes about a job; moments in milliseconds, 0 is: none."""

    state: JobState
    reason: Reason
    stop: bool
    token: int
    deliveries: int
    attempts: int
    kills: int
    due: int
    queued: int
    place: int
    started: int
    finished: int
    changes: int
    worker: bytes
    detail: bytes
    failure: bytes
    result: bytes
    progress: bytes
    checkpoint: bytes
    journal: bytes


# Version, state, reason, generation, stop, two of the latest ending; then token, deliveries,
# attempts, kills; due, queued, place, started, finished; the number of changes. `struct` knows no
# numbers of 3 and 6 bytes.
_STATE_NUMBERS: Final = (1, 1, 1, 2, 1, 1, 1, 6, 3, 3, 1, 6, 6, 6, 6, 6, 3)
_STATE_LENGTHS: Final = (1, 2, 3, 3, 2, 4, 3)


def _take_numbers(blob: bytes, at: int, sizes: tuple[int, ...]) -> tuple[list[int], int]:
    numbers = []
    for size in sizes:
        numbers.append(int.from_bytes(blob[at : at + size], "big"))
        at += size
    return numbers, at


def _take_bytes(blob: bytes, at: int, sizes: tuple[int, ...]) -> tuple[list[bytes], int]:
    """Byte strings with their lengths in front, which take `sizes` bytes."""
    values = []
    for size in sizes:
        start = at + size
        at = start + int.from_bytes(blob[at:start], "big")
        values.append(blob[start:at])
    return values, at


def read_state(blob: bytes) -> State:
    """What the scripts wrote as a job's state."""
    numbers, at = _take_numbers(blob, 0, _STATE_NUMBERS)
    _, state, reason, _, stop, _, _, *rest = numbers
    values, _ = _take_bytes(blob, at, _STATE_LENGTHS)
    return State._make([STATE_OF[state], REASON_OF[reason], bool(stop), *rest, *values])


def _fresh_state(spec: Specification) -> State:
    """The state of a job that has not changed since its submit."""
    counters = (spec.created, 0, 0, 0, spec.due, spec.created, 0, 0, 0, 0)
    return State._make([spec.initial, Reason.SUBMITTED, False, *counters, *([b""] * 7)])


class Record(NamedTuple):
    """A job as it is stored."""

    specification: Specification
    state: State


def read_record(specification: bytes, state: bytes, ended: bytes) -> Record | None:
    """A job's record from what `read` and `list` answer for it; `None` if there is no such job."""
    if ended:
        size = int.from_bytes(ended[:4], "big")
        specification, state = ended[4 : 4 + size], ended[4 + size :]
    if not specification:
        return None
    spec = read_specification(specification)
    return Record(spec, read_state(state) if state else _fresh_state(spec))


class Reports(NamedTuple):
    """What a job reported: its latest progress, when, and as which number."""

    at: int
    seq: int
    progress: Progress | None


# When, which number; then the counts of reports and of lines, and the lines' bytes.
_REPORTS_NUMBERS: Final = (6, 8, 3, 2, 4)


def read_reports(stored: bytes) -> Reports:
    """What `progress` wrote into a job's state."""
    if not stored:
        return Reports(0, 0, None)
    (at, seq, *_), size = _take_numbers(stored, 0, _REPORTS_NUMBERS)
    return Reports(at, seq, read_progress(stored[size:]) if stored[size:] else None)


def read_job(job_id: str, queue: str, record: Record) -> Job:
    """The record as readers get it."""
    spec, state = record
    about = spec.description
    return Job(
        id=job_id,
        task=about.task,
        queue=queue,
        priority=spec.priority,
        state=state.state,
        reason=state.reason,
        detail=state.detail.decode(),
        args=spec.args,
        created_at=moment(spec.created),
        due_at=moment(state.due),
        expires_at=_moment_or_none(spec.expires),
        started_at=_moment_or_none(state.started),
        finished_at=_moment_or_none(state.finished),
        token=state.token if state.deliveries else 0,
        deliveries=state.deliveries,
        attempts=state.attempts,
        kills=state.kills,
        worker=unpack_id(state.worker) if state.worker else None,
        unique=spec.unique,
        user=about.user,
        tags=about.tags,
        options=about.options,
        cancel_requested=state.stop,
        progress=read_reports(state.progress).progress,
        result=read_optional(state.result),
        failure=_read_failure(state.failure) if state.failure else None,
    )


def read_delivery(queue: str, values: list[Any]) -> Delivery:
    """A job as `claim` hands it out."""
    packed_id, token, deliveries, attempts, kills, checkpoint, blob, waited = values
    about, args = _body(blob, int.from_bytes(blob[9:12], "big"))
    return Delivery(
        job_id=unpack_id(packed_id),
        task=about.task,
        queue=queue,
        token=token,
        args=args,
        options=about.options,
        attempts=attempts,
        deliveries=deliveries,
        kills=kills,
        checkpoint=read_optional(checkpoint),
        user=about.user,
        waited=max(0, waited) / 1000,
    )
