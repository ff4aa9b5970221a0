"""What people look at: jobs, events, workers, queues."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ferryman.domain.job import Job, JobEvent, QueueInfo, WorkerInfo, WorkerStatus
from ferryman.stores.base import JobFilter, Judge, Page
from ferryman.stores.gathering import BATCH
from ferryman.stores.valkey import calls, listing
from ferryman.stores.valkey.base import STEP, Grounds, batched
from ferryman.stores.valkey.journal import About, read_events
from ferryman.stores.valkey.listing import Place, Sieve
from ferryman.stores.valkey.records import moment, read_job

PAGE_LOOKS: Final = 1000
"""Entries that a page looks at before it says that it stopped early, its own size aside."""

STRETCH: Final = 100
"""Records that one script call of a listing reads."""

_read_worker: Final = msgspec.msgpack.Decoder(WorkerInfo).decode


class Readers(Grounds):
    """The verbs of those who look."""

    async def get(self, ids: Sequence[str]) -> list[Job | None]:
        """See `JobStore.get`."""
        found: dict[str, Job] = {}
        for part in batched(ids, BATCH):
            located = await self._locate(part)
            for queue in sorted(set(located.values())):
                here = [job_id for job_id in part if located.get(job_id) == queue]
                records = await self._link.run(calls.read(self._target(queue), here), repeat=True)
                for job_id, record in zip(here, records, strict=True):
                    if record:
                        found[job_id] = read_job(job_id, queue, record)
        return [found.get(job_id) for job_id in ids]

    async def _job_in(self, queue: str, job_id: str) -> Job | None:
        call = calls.read(self._target(queue), [job_id])
        (record,) = await self._link.run(call, repeat=True)
        return read_job(job_id, queue, record) if record else None

    async def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[JobEvent]:
        """See `JobStore.events`."""
        queue = (await self._locate([job_id])).get(job_id)
        if queue is None:
            return []
        found = await self._link.run(calls.history(self._target(queue), job_id), repeat=True)
        if found is None:
            return []
        record, log = found
        about = About(job_id, queue, record.specification.description)
        events = read_events(about, record, log)
        return [event for event in events if event.seq > after][:limit]

    # -- pages ---------------------------------------------------------------------------------

    async def page(
        self, where: JobFilter, *, limit: int = 50, cursor: str | None = None, accepts: Judge = None
    ) -> Page:
        """See `JobStore.page`. The newest first within each queue and state."""
        start = listing.read_cursor(cursor) if cursor is not None else None
        looks = max(limit, PAGE_LOOKS)
        sieve = Sieve(where, accepts)
        jobs: list[Job] = []
        for place in listing.places(await self._queue_names(), where, start):
            here: Place | None = place
            while here is not None:
                if len(jobs) >= limit or looks <= 0:
                    partial = len(jobs) < limit
                    return Page(tuple(jobs), listing.write_cursor(here), partial)
                found, looked, here = await self._matching(here, sieve, limit - len(jobs))
                looks -= looked
                jobs += found
        return Page(tuple(jobs))

    async def _matching(
        self, place: Place, sieve: Sieve, room: int
    ) -> tuple[list[Job], int, Place | None]:
        """Up to `room` jobs from a place on, how many entries that took, and where it goes on.

        A filter that the indexes do not know needs a longer look. If too many match then, a
        second look ends with the last one that there is room for, for only there a place is known.
        """
        size = room if sieve.takes_all else STRETCH
        while True:
            jobs, looked, following = await self._stretch(place, size)
            matching = [at for at, job in enumerate(jobs) if sieve.takes(job)]
            if len(matching) <= room:
                return [jobs[at] for at in matching], looked, following
            size = max(room, min(size - 1, matching[room - 1] + 1))

    async def _stretch(self, place: Place, size: int) -> tuple[list[Job], int, Place | None]:
        call = calls.list_jobs(
            self._target(place.queue), place.state, min(size, STRETCH), place.position
        )
        stretch = await self._link.run(call, repeat=True)
        jobs = [read_job(job_id, place.queue, record) for job_id, record in stretch.records]
        following = stretch.position and Place(place.queue, place.state, stretch.position)
        return jobs, stretch.looked, following

    async def count(self, where: JobFilter) -> int:
        """See `JobStore.count`. By queue and state it is a sum of figures."""
        if listing.indexed(where):
            states = listing.ORDER if where.state is None else (where.state,)
            infos = [info for info in await self.queues() if where.queue in (None, info.name)]
            return sum(info.count(state) for info in infos for state in states)
        total, page = 0, await self.page(where, limit=BATCH)
        while page.cursor is not None:
            total += len(page.jobs)
            page = await self.page(where, limit=BATCH, cursor=page.cursor)
        return total + len(page.jobs)

    # -- workers and queues --------------------------------------------------------------------

    async def workers(self) -> list[WorkerStatus]:
        """See `JobStore.workers`. A dead one is listed for an hour."""
        call = calls.workers(self._keys.shared, self._now())
        now, known = await self._link.run(call, repeat=True)
        statuses = [await self._worker_status(now, entry) for entry in known]
        return sorted(statuses, key=lambda status: (status.info.name, status.info.id))

    async def _worker_status(self, now: int, entry: list[bytes]) -> WorkerStatus:
        packed, description, lease, *queues = entry
        until = int(float(lease))
        sizes = await self._link.run_all(
            [
                calls.command("ZCARD", f"{self._keys.queue(name.decode())}run:".encode() + packed)
                for name in queues
            ],
            repeat=True,
        )
        return WorkerStatus(
            info=_read_worker(description[6:]),
            started_at=moment(int.from_bytes(description[:6], "big")),
            lease_until=moment(until),
            live=until > now,
            running=sum(sizes),
        )

    async def queues(self) -> list[QueueInfo]:
        """See `JobStore.queues`."""
        names = await self._queue_names()
        now = self._now()
        figures = await self._link.run_all(
            [calls.figures(self._target(name), now) for name in names], repeat=True
        )
        return [_queue_info(name, values) for name, values in zip(names, figures, strict=True)]

    async def pause(self, queue: str) -> None:
        """See `JobStore.pause`."""
        await self._announce(queue)
        await self._link.run(calls.pause(self._target(queue), paused=True), repeat=True)

    async def resume(self, queue: str) -> None:
        """See `JobStore.resume`."""
        if queue in await self._queue_names():
            await self._link.run(calls.pause(self._target(queue), paused=False), repeat=True)

    async def purge(self, queue: str) -> int:
        """See `JobStore.purge`. In bounded steps, up to as many jobs as there are at its start."""
        target = self._target(queue)
        _, scheduled, waiting, queued, *_ = await self._link.run(
            calls.figures(target, self._now()), repeat=True
        )
        cancelled, more = 0, True
        while more and cancelled <= scheduled + waiting + queued:
            count, more = await self._link.run(
                calls.purge(target, self._now(), STEP, "the queue was purged")
            )
            cancelled += count
        return cancelled


def _queue_info(name: str, values: list[int]) -> QueueInfo:
    paused, scheduled, waiting, queued, running, succeeded, failed, cancelled, oldest = values
    return QueueInfo(
        name=name,
        paused=bool(paused),
        scheduled=scheduled,
        waiting=waiting,
        queued=queued,
        running=running,
        succeeded=succeeded,
        failed=failed,
        cancelled=cancelled,
        oldest_age=None if oldest < 0 else oldest / 1000,
    )
