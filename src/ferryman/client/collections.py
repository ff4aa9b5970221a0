"""What stands behind `app.jobs`, `app.queues`, `app.dead_letters` and `app.workers`."""

import builtins
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime
from typing import Any, TypedDict, Unpack

from ferryman.client.access import Access
from ferryman.client.handles import JobHandle, found
from ferryman.client.watching import awatched, watched
from ferryman.domain.errors import ConfigError
from ferryman.domain.ids import check_name
from ferryman.domain.job import JobEvent, QueueInfo, WorkerStatus
from ferryman.domain.states import JobState
from ferryman.stores.base import JobFilter, JobStore, Page, Verdict

BATCH = 500
"""Jobs that one call of a bulk operation names."""


class Where(TypedDict, total=False):
    """What a reader may ask for; `since` and `until` are moments of creation, and `text` is looked
    for in the arguments as they are stored, secrets included."""

    state: JobState | str | None
    task: str | None
    queue: str | None
    user: str | None
    tag: str | None
    text: str | None
    since: datetime | None
    until: datetime | None


class JobPage(list[JobHandle[Any]]):
    """A page of job handles, with the `cursor` of the next one (`None` on the last page).

    `partial` is: the store stopped looking before the page was full; go on at `cursor`.
    """

    def __init__(self, handles: Iterable[JobHandle[Any]], page: Page) -> None:
        super().__init__(handles)
        self.cursor = page.cursor
        self.partial = page.partial


class Jobs:
    """The jobs in the store (`app.jobs`)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def get(self, id: str) -> JobHandle[Any]:
        """The job of this id.

        Raises:
            JobNotFound: the store does not hold it.
        """
        return self._access.run(self.aget(id))

    async def aget(self, id: str) -> JobHandle[Any]:
        """`get` for asynchronous code."""
        store = await self._access.store()
        [record] = await store.get([check_name(id, "job id")])
        return JobHandle(self._access, id, record=found(id, record))

    def list(
        self, *, limit: int = 50, cursor: str | None = None, **where: Unpack[Where]
    ) -> JobPage:
        """A page of the jobs that match all that is given, the newest first as far as can be.

        Raises:
            ConfigError: an unknown state, or a cursor that is not of this store.
        """
        return self._access.run(self.alist(limit=limit, cursor=cursor, **where))

    async def alist(
        self, *, limit: int = 50, cursor: str | None = None, **where: Unpack[Where]
    ) -> JobPage:
        """`list` for asynchronous code."""
        store = await self._access.store()
        page = await store.page(_filter(where), limit=limit, cursor=cursor)
        return JobPage((JobHandle(self._access, one.id, record=one) for one in page.jobs), page)

    def count(self, **where: Unpack[Where]) -> int:
        """How many jobs match; may look at each of them."""
        return self._access.run(self.acount(**where))

    async def acount(self, **where: Unpack[Where]) -> int:
        """`count` for asynchronous code."""
        store = await self._access.store()
        return await store.count(_filter(where))

    def watch(self, id: str, *, after: int = 0) -> Iterator[JobEvent]:
        """What happens to a job, as it happens, until it has ended.

        First comes what has happened so far; `after` leaves out what was seen before (`seq`).
        A store that is away for a while is waited for.

        Raises:
            JobNotFound: the store does not hold it.
        """
        check_name(id, "job id")
        return watched(self._access, id, after)

    def awatch(self, id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """`watch` for asynchronous code."""
        check_name(id, "job id")
        return awatched(self._access, id, after)


class Queues:
    """The queues in the store (`app.queues`)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def list(self) -> builtins.list[QueueInfo]:
        """Every queue that has held a job or was paused, by name."""
        return self._access.run(self.alist())

    async def alist(self) -> builtins.list[QueueInfo]:
        """`list` for asynchronous code."""
        store = await self._access.store()
        return await store.queues()

    def info(self, queue: str) -> QueueInfo:
        """A queue's figures; all zero for one that never held a job."""
        return self._access.run(self.ainfo(queue))

    async def ainfo(self, queue: str) -> QueueInfo:
        """`info` for asynchronous code."""
        check_name(queue, "queue")
        found = [info for info in await self.alist() if info.name == queue]
        return found[0] if found else QueueInfo(name=queue)

    def pause(self, queue: str) -> None:
        """Stop claims from a queue. Running jobs go on, new ones are taken in."""
        self._access.run(self.apause(queue))

    async def apause(self, queue: str) -> None:
        """`pause` for asynchronous code."""
        store = await self._access.store()
        await store.pause(check_name(queue, "queue"))

    def resume(self, queue: str) -> None:
        """Let claims from a queue go on."""
        self._access.run(self.aresume(queue))

    async def aresume(self, queue: str) -> None:
        """`resume` for asynchronous code."""
        store = await self._access.store()
        await store.resume(check_name(queue, "queue"))

    def purge(self, queue: str) -> int:
        """Cancel every job of a queue that is not running and has not ended; returns how many."""
        return self._access.run(self.apurge(queue))

    async def apurge(self, queue: str) -> int:
        """`purge` for asynchronous code."""
        store = await self._access.store()
        return await store.purge(check_name(queue, "queue"))


class DeadLetters:
    """The failed jobs, kept until someone retries or discards them (`app.dead_letters`)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def list(
        self,
        *,
        task: str | None = None,
        queue: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """A page of the dead letters."""
        return self._access.run(self.alist(task=task, queue=queue, limit=limit, cursor=cursor))

    async def alist(
        self,
        *,
        task: str | None = None,
        queue: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> JobPage:
        """`list` for asynchronous code."""
        return await Jobs(self._access).alist(
            state=JobState.FAILED, task=task, queue=queue, limit=limit, cursor=cursor
        )

    def retry_all(self, *, task: str | None = None, queue: str | None = None) -> int:
        """Send every dead letter that matches back to its queue; returns how many went."""
        return self._access.run(self.aretry_all(task=task, queue=queue))

    async def aretry_all(self, *, task: str | None = None, queue: str | None = None) -> int:
        """`retry_all` for asynchronous code."""
        store = await self._access.store()
        ids = await self._ids(store, task, queue)
        return await _in_batches(ids, store.retry)

    def discard_all(self, *, task: str | None = None, queue: str | None = None) -> int:
        """Delete every dead letter that matches; returns how many there were."""
        return self._access.run(self.adiscard_all(task=task, queue=queue))

    async def adiscard_all(self, *, task: str | None = None, queue: str | None = None) -> int:
        """`discard_all` for asynchronous code."""
        store = await self._access.store()
        ids = await self._ids(store, task, queue)
        return await _in_batches(ids, store.discard)

    async def _ids(
        self, store: JobStore, task: str | None, queue: str | None
    ) -> builtins.list[str]:
        """All that match now: read to the end first, so that what fails anew is not met again."""
        where = JobFilter(state=JobState.FAILED, task=task, queue=queue)
        ids: builtins.list[str] = []
        cursor = None
        while True:
            page = await store.page(where, limit=BATCH, cursor=cursor)
            ids += [job.id for job in page.jobs]
            cursor = page.cursor
            if cursor is None:
                return ids


class Workers:
    """The worker processes that the store knows (`app.workers`)."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def list(self) -> builtins.list[WorkerStatus]:
        """Every worker process, by name."""
        return self._access.run(self.alist())

    async def alist(self) -> builtins.list[WorkerStatus]:
        """`list` for asynchronous code."""
        store = await self._access.store()
        return await store.workers()


async def _in_batches(ids: list[str], change: Any) -> int:
    applied = 0
    for start in range(0, len(ids), BATCH):
        verdicts = await change(ids[start : start + BATCH])
        applied += sum(verdict is Verdict.APPLIED for verdict in verdicts)
    return applied


def _filter(where: Where) -> JobFilter:
    state = where.get("state")
    try:
        wanted = None if state is None else JobState(state)
    except ValueError:
        raise ConfigError(f"{state!r} is not a state: use one of {', '.join(JobState)}") from None
    rest: Any = {name: value for name, value in where.items() if name != "state"}
    return JobFilter(state=wanted, **rest)
