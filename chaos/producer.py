"""A producer: enqueues jobs of all kinds, and writes down what it asked for and what it was told.

python -m chaos.producer PLAN
"""

import asyncio
import contextlib
import random
import signal
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from chaos import actor
from chaos.history import Enqueue, Enqueued, How, Recorder, Steer, Steered, now
from chaos.jobs import app
from chaos.plan import Plan
from ferryman.client.task import Task
from ferryman.domain.errors import JobExists, StoreError, StoreFull
from ferryman.domain.job import JobOptions, NewJob
from ferryman.domain.states import JobState
from ferryman.stores.base import Verdict
from ferryman.stores.sql.engine import parse_url

KEYS: Final = 8
"""Unique keys that are asked for again and again."""

AGAIN: Final = 20
"""Times that an enqueue is repeated of which nobody knows whether it took effect."""

REST: Final = 0.25

Kind = Callable[[], Coroutine[Any, Any, None]]
"""A kind of call, which is made now."""


class Producer:
    """Makes calls until it has made them all, or is told to stop."""

    def __init__(self, plan: Plan, recorder: Recorder) -> None:
        self._plan = plan
        self._recorder = recorder
        self._random = random.Random(plan.seed)
        self._made = 0
        self._recent: deque[str] = deque(maxlen=50)
        self._failing: deque[str] = deque()
        self._stopped = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        url = app.settings.database_url
        self._engine = None if url is None else create_async_engine(parse_url(url))

    async def run(self) -> None:
        """Produce."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopped.set)
        kinds, weights = self._kinds()
        while not self._stopped.is_set() and not self._enough():
            [kind] = self._random.choices(kinds, weights)
            call = asyncio.create_task(kind())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            await asyncio.sleep(self._random.uniform(0.5, 1.5) / self._plan.rate)
        await asyncio.gather(*self._calls)
        while self._failing:  # what was left to fail is to succeed
            await self._retry()
        if self._engine is not None:
            await self._engine.dispose()
        await app.aclose()

    def _enough(self) -> bool:
        return self._plan.jobs is not None and self._made >= self._plan.jobs

    def _kinds(self) -> tuple[list[Kind], list[int]]:
        kinds: list[tuple[Kind, int]] = [(self._one, 4), (self._many, 4)]
        if self._plan.extras:
            kinds += [(self._delayed, 1), (self._unique, 2), (self._cancel, 1), (self._retry, 1)]
            kinds += [(self._thrice, 1)]
            if self._engine is not None:
                kinds += [(self._in_transaction, 2)]
        return [kind for kind, _ in kinds], [weight for _, weight in kinds]

    # -- kinds of calls --------------------------------------------------------------------------

    async def _one(self) -> None:
        await self._enqueue([self._job()])

    async def _many(self) -> None:
        await self._enqueue([self._job() for _ in range(self._plan.batch)])

    async def _delayed(self) -> None:
        delay = round(self._random.uniform(0.3, 2.0), 3)
        await self._enqueue([self._job(delay=delay)], delay=delay)

    async def _unique(self) -> None:
        key = f"{self._plan.name}-{self._random.randrange(KEYS)}"
        conflict = self._random.choice(("refuse", "return"))
        await self._enqueue([self._job(unique=key, on_conflict=conflict)], unique=key)

    async def _thrice(self) -> None:
        """The same job in three calls at one moment, as from a button that does not react: two of
        them share one."""
        key = f"{self._plan.name}-{self._random.randrange(KEYS)}"
        jobs = [self._job(unique=key, on_conflict="return")]
        await asyncio.gather(*(self._enqueue(jobs, unique=key) for _ in range(3)))

    async def _in_transaction(self) -> None:
        """In a session of the caller's, which commits or, one time in three, rolls back."""
        assert self._engine is not None  # noqa: S101 - else it is not among the kinds
        job, rolls_back = self._job(), self._random.random() < 1 / 3
        number = self._ask([job])
        begun = False
        try:
            async with AsyncSession(self._engine) as session:
                store = await app.store()
                await store.submit([job], transaction=session)
                if not rolls_back:
                    begun = True
                    await session.commit()
        except Exception as error:
            # Before the commit it surely did not take effect; within it nobody knows.
            self._told(number, "info" if begun else "fail", error=error)
        else:
            self._told(number, "fail" if rolls_back else "ok")

    async def _cancel(self) -> None:
        if self._recent:
            job = self._random.choice(self._recent)
            await self._steer(job, "cancel")

    async def _retry(self) -> None:
        if self._failing:
            job = self._failing.popleft()
            if not await self._steer(job, "retry"):
                self._failing.append(job)
                await asyncio.sleep(REST / 10)

    # -- calls -----------------------------------------------------------------------------------

    def _job(self, **options: Any) -> NewJob:
        self._made += 1
        [name] = self._random.choices(list(self._plan.mix), list(self._plan.mix.values()))
        seconds = round(self._random.uniform(0.2, 1.0) * self._plan.seconds, 4)
        task: Task[..., Any] = app.named(name)
        job_id = f"{self._plan.name}-{self._made}"
        job = task.using(id=job_id, **options).new_job((seconds,), {})
        return msgspec.structs.replace(job, options=JobOptions(version=self._plan.version))

    async def _enqueue(
        self, jobs: list[NewJob], *, unique: str | None = None, delay: float = 0.0
    ) -> None:
        """Enqueue, and again if nobody knows whether it took effect: the ids are the same."""
        for _ in range(AGAIN):
            number = self._ask(jobs, unique, delay)
            how = await self._submit(jobs, number)
            if how == "ok":
                self._recent.extend(job.id for job in jobs)
                self._failing.extend(job.id for job in jobs if job.task == "fail")
            if how != "info" or self._random.random() < 0.5 or self._stopped.is_set():
                return
            await asyncio.sleep(REST)

    async def _submit(self, jobs: list[NewJob], number: int) -> How:
        try:
            store = await app.store()
            submitted = await store.submit(jobs)
        except JobExists as error:
            return self._told(number, "fail", holder=error.job_id, error=error)
        except StoreFull as error:
            # Of several jobs some may have been taken in.
            return self._told(number, "fail" if len(jobs) == 1 else "info", error=error)
        except StoreError as error:
            return self._told(number, "info", error=error)
        given = submitted[0].job_id
        return self._told(number, "ok", holder=given if given != jobs[0].id else None)

    async def _steer(self, job: str, verb: str) -> bool:
        """Cancel or retry; whether it is known that this took effect, or never can."""
        number = self._recorder.number()
        record = {"t": now(), "number": number, "verb": verb, "job": job}
        self._recorder.add(msgspec.convert(record, Steer))
        try:
            store = await app.store()
            [verdict] = await (store.cancel([job]) if verb == "cancel" else store.retry([job]))
        except StoreError:
            self._recorder.add(Steered(t=now(), number=number, how="info"))
            return False
        self._recorder.add(Steered(t=now(), number=number, how="ok", verdict=verdict.value))
        return verdict is not Verdict.STALE or await self._succeeded(job)

    async def _succeeded(self, job: str) -> bool:
        with contextlib.suppress(StoreError):
            store = await app.store()
            [record] = await store.get([job])
            return record is None or record.state is JobState.SUCCEEDED
        return False

    def _ask(
        self,
        jobs: list[NewJob],
        unique: str | None = None,
        delay: float = 0.0,
        expires: float = 0.0,
    ) -> int:
        number = self._recorder.number()
        ids = tuple(job.id for job in jobs)
        line = Enqueue(t=now(), number=number, ids=ids, unique=unique, delay=delay, expires=expires)
        self._recorder.add(line)
        return number

    def _told(
        self, number: int, how: How, *, holder: str | None = None, error: Exception | None = None
    ) -> How:
        said = "" if error is None else f"{type(error).__name__}: {error}"
        self._recorder.add(Enqueued(t=now(), number=number, how=how, holder=holder, error=said))
        return how


if __name__ == "__main__":
    asyncio.run(Producer(msgspec.json.decode(sys.argv[1], type=Plan), actor.recorder()).run())
