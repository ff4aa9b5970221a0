"""Taking jobs in, and what people do to them afterwards."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from ferryman.domain.errors import ConfigError, JobExists, StoreError
from ferryman.domain.job import NewJob, Submitted
from ferryman.settings import Settings
from ferryman.stores.base import Verdict
from ferryman.stores.gathering import Answer, Gathering, bounded
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.calls import Announced, Taken, Target
from ferryman.stores.valkey.operators import Operators
from ferryman.stores.valkey.records import PackedJob, pack_new

_Parcel = tuple[NewJob, PackedJob]


def _parcel_size(parcel: _Parcel) -> int:
    return len(parcel[0].args)


class Producers(Operators):
    """`submit` and the other verbs of those who have jobs done."""

    def __init__(self, settings: Settings, clock: Callable[[], int] | None = None) -> None:
        super().__init__(settings, clock)
        self._gatherings: Final[dict[str, Gathering[_Parcel]]] = {}

    async def submit(self, jobs: Sequence[NewJob], *, transaction: Any = None) -> list[Submitted]:
        """See `JobStore.submit`. One script call a queue, in one round trip where order is free."""
        if transaction is not None:
            _no_transactions()
        if len(jobs) == 1:
            return [await self._submit_one(jobs[0])]
        # Only a refusal asks for an order among queues: nothing after it is taken in.
        if any(job.unique and job.on_conflict == "refuse" for job in jobs):
            submitted = await self._submit_in_order(jobs)
        else:
            submitted = await self._submit_by_queue(jobs)
        self._tally.submitted(jobs, submitted)
        return submitted

    def submit_in(self, transaction: Any, jobs: Sequence[NewJob]) -> list[Submitted]:
        """There are no transactions to join here.

        Raises:
            ConfigError: always.
        """
        _no_transactions()

    async def _submit_one(self, job: NewJob) -> Submitted:
        """Together with others that come at the same time."""
        gathering = self._gatherings.get(job.queue)
        if gathering is None:
            send = functools.partial(self._submit_each, self._target(job.queue))
            gathering = self._gatherings[job.queue] = Gathering(send, _parcel_size)
        return await gathering.submit((job, pack_new(job, alone=True)))

    async def _submit_each(self, target: Target, parcels: Sequence[_Parcel]) -> list[Answer]:
        jobs, packed = zip(*parcels, strict=True)
        submit = functools.partial(
            calls.submit_each, target, self._now(), [job.id for job in jobs], packed
        )
        given = await self._link.run(submit(announced=Announced.NO), repeat=True)
        if given is None:
            announced = await self._announce(target.queue)
            given = await self._link.run(submit(announced=announced), repeat=True)
        if given is None:
            raise _unknown(target.queue)
        self._tally.submitted(jobs, given)
        return [
            one if isinstance(one, Submitted) else _refusal(job, one)
            for job, one in zip(jobs, given, strict=True)
        ]

    async def _submit_in_order(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        """Runs of one queue go one after another."""
        submitted: list[Submitted] = []
        for _, run in itertools.groupby(jobs, key=lambda job: job.queue):
            for part in _parts(list(run)):
                submitted += await self._submit_parts([part])
        return submitted

    async def _submit_by_queue(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        by_queue: dict[str, list[NewJob]] = {}
        for job in jobs:
            by_queue.setdefault(job.queue, []).append(job)
        parts = [part for group in by_queue.values() for part in _parts(group)]
        if len(by_queue) == 1:
            return await self._submit_parts(parts)
        given: dict[str, list[Submitted]] = {queue: [] for queue in by_queue}
        for submitted in await self._submit_parts(parts):
            given[submitted.queue].append(submitted)
        in_order = {queue: iter(submitted) for queue, submitted in given.items()}
        return [next(in_order[job.queue]) for job in jobs]

    async def _submit_parts(self, parts: Sequence[Sequence[NewJob]]) -> list[Submitted]:
        """Submit lists of jobs of one queue each."""
        taken = await self._take(parts, {})
        new = [part for part, one in zip(parts, taken, strict=True) if one is None]
        if new:
            queues = {part[0].queue for part in new}
            late = iter(await self._take(new, {one: await self._announce(one) for one in queues}))
            taken = [next(late) if one is None else one for one in taken]
        return [
            one
            for part, part_taken in zip(parts, taken, strict=True)
            for one in _accepted(part, part_taken)
        ]

    async def _take(
        self, parts: Sequence[Sequence[NewJob]], announced: Mapping[str, Announced]
    ) -> list[Taken | None]:
        now = self._now()
        submits = [
            calls.submit(
                self._target(part[0].queue),
                now,
                part,
                announced=announced.get(part[0].queue, Announced.NO),
            )
            for part in parts
        ]
        return await self._link.run_all(submits, repeat=True)

    async def admit(self, ids: Sequence[str]) -> list[Verdict]:
        """See `JobStore.admit`."""
        now = self._now()
        return await self._judge(ids, lambda target, part: calls.admit(target, now, part))

    async def cancel(self, ids: Sequence[str], *, by: str = "") -> list[Verdict]:
        """See `JobStore.cancel`."""
        now = self._now()
        return await self._judge(ids, lambda target, part: calls.cancel(target, now, by, part))

    async def retry(
        self, ids: Sequence[str], *, args: bytes | None = None, by: str = ""
    ) -> list[Verdict]:
        """See `JobStore.retry`."""
        now = self._now()
        return await self._judge(ids, lambda target, part: calls.retry(target, now, by, args, part))

    async def discard(self, ids: Sequence[str]) -> list[Verdict]:
        """See `JobStore.discard`."""
        return await self._judge(ids, calls.discard)


def _no_transactions() -> NoReturn:
    raise ConfigError(
        "jobs in Valkey cannot join a transaction of a database: submit after the commit, or keep "
        "the jobs in the database (FERRYMAN_DATABASE_URL)"
    )


def _parts(jobs: Sequence[NewJob]) -> Iterator[list[NewJob]]:
    return bounded(jobs, lambda job: len(job.args))


def _accepted(part: Sequence[NewJob], taken: Taken | None) -> list[Submitted]:
    if taken is None:
        raise _unknown(part[0].queue)
    if taken.refused_by is not None:
        raise _refusal(part[len(taken.submitted)], taken.refused_by)
    return taken.submitted


def _unknown(queue: str) -> StoreError:
    return StoreError(f"the queue {queue} was announced and is not known: try again")


def _refusal(job: NewJob, holder: str) -> JobExists:
    return JobExists(
        f"the unique key {job.unique!r} of the queue {job.queue} is held by the live job {holder}",
        holder,
    )
