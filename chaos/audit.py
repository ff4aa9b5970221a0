"""The audit: whether everything has come to rest, and what the store holds of each job then.

It goes to the servers straight away, through no proxy, and where it can past the store's readers.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import msgspec
from redis import Redis
from sqlalchemy import create_engine, select

from chaos.history import Change, Drained, Kept, Line, Recorder, now
from ferryman.domain.errors import StoreError
from ferryman.domain.job import EventKind, Job, JobEvent, Progress
from ferryman.settings import Settings
from ferryman.stores import make_store
from ferryman.stores.base import JobStore
from ferryman.stores.sql.tables import events, jobs
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.journal import About, read_events
from ferryman.stores.valkey.keys import Keys
from ferryman.stores.valkey.records import read_job, unpack_id
from ferryman.stores.valkey.store import ValkeyStore

AT_ONCE: Final = 5000
LOOK_EVERY: Final = 0.1
SCANNED: Final = 10_000
"""Keys at a time: there may be a million of others."""
LANE_RESTS: Final = 15.0
"""Seconds after which the lane must agree: longer than it holds an id that was taken."""


async def drained(settings: Settings, limit: float) -> str:
    """Wait until no job is left that has not ended; "" or what is left after so many seconds."""
    store = make_store(msgspec.structs.replace(settings, valkey_url=_record_url(settings)))
    deadline = time.monotonic() + limit
    left = "the store cannot be opened"
    opened = False
    try:
        while time.monotonic() < deadline:
            try:
                if not opened:
                    await store.open()
                    opened = True
                left = await _left(store)
            except StoreError as error:
                left = str(error)
            if not left:
                return ""
            await asyncio.sleep(LOOK_EVERY)
    finally:
        await store.close()
    return f"after {limit:g} s: {left}"


def _record_url(settings: Settings) -> str | None:
    """The lane is left alone: the database keeps the jobs."""
    return settings.valkey_url if settings.database_url is None else None


async def _left(store: JobStore) -> str:
    figures = [
        f"{info.name}: {info.scheduled} scheduled, {info.waiting} waiting, "
        f"{info.queued} queued, {info.running} running"
        for info in await store.queues()
        if info.scheduled or info.waiting or info.queued or info.running
    ]
    return "; ".join(figures)


def write_down(recorder: Recorder, settings: Settings, error: str, lane: str) -> None:
    """Write down what the store holds, and that this is the end."""
    lines: list[Line] = []
    for kept in _all_kept(settings):
        lines.append(kept)
        if len(lines) == AT_ONCE:
            recorder.add_all(lines)
            lines = []
    recorder.add_all([*lines, Drained(t=now(), ok=not error, error=error, lane=lane)])


def _all_kept(settings: Settings) -> Iterator[Kept]:
    if settings.database_url is not None:
        yield from _in_database(settings.database_url)
    else:
        yield from asyncio.run(_in_valkey(settings))


# -- a database ----------------------------------------------------------------------------------

_FACTS: Final = ("id", "state", "reason", "token", "deliveries", "attempts", "kills")


def _in_database(url: str) -> Iterator[Kept]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        changes: defaultdict[str, list[Change]] = defaultdict(list)
        changes_told = select(events).where(events.c.kind.is_(None)).order_by(events.c.seq)
        for row in connection.execute(changes_told):
            change = (row.source or "", row.target, row.reason, row.token, row.worker)
            changes[row.job_id].append(change)
        columns = [jobs.c[name] for name in (*_FACTS, "result", "progress")]
        for row in connection.execute(select(*columns)):
            facts = {"job" if name == "id" else name: getattr(row, name) for name in _FACTS}
            yield Kept(
                t=now(),
                **facts,
                result=_result(row.state, row.result),
                reported=_reported(
                    row.progress and msgspec.json.decode(row.progress, type=Progress)
                ),
                changes=tuple(changes[row.id]),
            )
    engine.dispose()


def _result(state: str, result: bytes | None) -> int | None:
    return msgspec.json.decode(result, type=int) if state == "succeeded" and result else None


def _reported(progress: Progress | None) -> int | None:
    return int(progress.message) if progress is not None and progress.message else None


# -- Valkey --------------------------------------------------------------------------------------


async def _in_valkey(settings: Settings) -> list[Kept]:
    store = ValkeyStore(settings)
    try:
        return [kept async for kept in _records(store, settings)]
    finally:
        await store.close()


async def _records(store: ValkeyStore, settings: Settings) -> AsyncIterator[Kept]:
    with Redis.from_url(settings.valkey_url or "") as client:
        for queue in sorted(name.decode() for name in client.smembers(_shared(settings, "queues"))):
            ids = _ids(client, Keys(settings.namespace).queue(queue))
            for first in range(0, len(ids), 500):
                part = ids[first : first + 500]
                found = await store._link.run(calls.read(store._target(queue), part))
                for job_id, record in zip(part, found, strict=True):
                    if record is not None:
                        about = About(job_id, queue, record.specification.description)
                        told = read_events(about, record, ())
                        yield _of_job(read_job(job_id, queue, record), told)


def _shared(settings: Settings, key: str) -> str:
    return f"{Keys(settings.namespace).shared}{key}"


def _ids(client: "Redis", prefix: str) -> list[str]:
    """The ids of all jobs of a queue, by its live jobs and by its indexes of ended ones."""
    packed: set[Any] = set(client.hkeys(f"{prefix}jobs"))
    for key in client.scan_iter(f"{prefix}ended:*"):
        packed |= {member for member, _ in client.zscan_iter(key)}
    return sorted(unpack_id(one) for one in packed)


def _of_job(job: Job, told: list[JobEvent]) -> Kept:
    changes = tuple(
        (one.source or "", one.target.value, one.reason.value, one.token, one.worker)
        for one in told
        if one.kind is EventKind.STATE
    )
    return Kept(
        t=now(),
        job=job.id,
        state=job.state.value,
        reason=job.reason.value,
        token=job.token,
        deliveries=job.deliveries,
        attempts=job.attempts,
        kills=job.kills,
        result=_result(job.state.value, job.result),
        reported=_reported(job.progress),
        changes=changes,
    )


# -- the lane ------------------------------------------------------------------------------------


def lane_at_rest(settings: Settings) -> str:
    """Wait until the lane of a database is empty and filled; "" or what is wrong with it."""
    deadline = time.monotonic() + LANE_RESTS
    while (wrong := _wrong_with_lane(settings)) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    return wrong


def _wrong_with_lane(settings: Settings) -> str:
    with Redis.from_url(settings.valkey_url or "", socket_timeout=5) as client:
        run, epoch = client.info()["run_id"], client.get(_shared(settings, "epoch"))
        if (epoch or b"").decode() != run:
            return f"it is not filled: its epoch is {epoch!r}, and the server's run {run}"
        left = {
            key: client.zcard(key)
            for kind in ("lane:*", "taken")
            for key in client.scan_iter(f"{settings.namespace}:*:{kind}", count=SCANNED)
        }
        return f"it still holds ids: {left}" if any(left.values()) else ""
