"""What a process did, counted in memory and written to its store every few seconds.

Charts cost nothing at a job's own writes this way. A process that is killed, or leaves without
closing its store, takes the figures of its last seconds with it; they are for people to look at,
and no promise rests on them.
"""

import asyncio
import contextlib
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from ferryman.domain.errors import ConfigError, StoreError
from ferryman.domain.figures import BOUNDS, STEPS, Figures, Spread
from ferryman.domain.job import Delivery, NewJob, Submitted
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import Clock, Verdict

FLUSH: Final = 2.0
"""Seconds from a count to its being written."""

FORGET: Final = 100_000
"""Claims that are remembered, to know how long a delivery ran."""

COUNTED: Final = ("submitted", "started", "succeeded", "failed", "cancelled", "retried")
_BUCKETS: Final = len(BOUNDS) + 1
_SUBMITTED, _STARTED, _SUCCEEDED, _FAILED, _CANCELLED, _RETRIED = range(len(COUNTED))
_WAIT: Final = len(COUNTED)
_RUN: Final = _WAIT + 1 + _BUCKETS
SIZE: Final = _RUN + 1 + _BUCKETS
"""Numbers of a count: those of `COUNTED`; the milliseconds and the buckets of wait, and of run."""

_ENDED: Final = {
    JobState.SUCCEEDED: _SUCCEEDED,
    JobState.FAILED: _FAILED,
    JobState.CANCELLED: _CANCELLED,
}

Count = list[int]
Counts = dict[tuple[int, str], Count]
"""What was counted, by the moment (epoch milliseconds) at which its step begins, and the queue."""

_FINEST: Final = min(STEPS) * 1000


class Tally:
    """Counts what goes through one store.

    Args:
        write: adds counts of the finest step to what is kept.
        clock: epoch milliseconds, instead of this process's clock.
        timed: it writes by itself, on the running event loop; else somebody calls `flush`.
    """

    def __init__(
        self,
        write: Callable[[Counts], Awaitable[None]],
        clock: Clock | None = None,
        *,
        timed: bool = True,
    ) -> None:
        self._write = write
        self._clock = clock or _now
        self._timed = timed
        self._counts: Counts = {}
        self._began: dict[tuple[str, int], float] = {}
        self._timer: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()

    def _of(self, queue: str) -> Count:
        moment = self._clock()
        key = (moment - moment % _FINEST, queue)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = [0] * SIZE
            if self._timed and self._timer is None:
                self._timer = asyncio.get_running_loop().create_task(self._flush_later())
        return count

    def submitted(self, jobs: Sequence[NewJob], answers: Iterable[object]) -> None:
        """Jobs were taken in, as far as the answers say so."""
        counts = _ByQueue(self._of)
        for job, answer in zip(jobs, answers, strict=False):
            if isinstance(answer, Submitted) and answer.created:
                counts[job.queue][_SUBMITTED] += 1

    def claimed(self, deliveries: Iterable[Delivery]) -> None:
        """Deliveries were claimed."""
        now, counts = time.monotonic(), _ByQueue(self._of)
        for one in deliveries:
            count = counts[one.queue]
            count[_STARTED] += 1
            _add(count, _WAIT, one.waited)
            if len(self._began) < FORGET:
                self._began[one.job_id, one.token] = now

    def ended(self, endings: Sequence[Ending], verdicts: Iterable[Verdict]) -> None:
        """Deliveries were ended, as far as the verdicts say so."""
        now, counts = time.monotonic(), _ByQueue(self._of)
        for one, verdict in zip(endings, verdicts, strict=True):
            began = self._began.pop((one.job_id, one.token), None)
            if verdict is not Verdict.APPLIED:
                continue
            count = counts[one.queue]
            if (measure := _ENDED.get(one.state)) is not None:
                count[measure] += 1
            elif one.reason is Reason.RETRY:
                count[_RETRIED] += 1
            if began is not None:
                _add(count, _RUN, now - began)

    def failed(self, queues: Iterable[str]) -> None:
        """A job of each of these queues failed by another hand than its worker's."""
        for queue in queues:
            self._of(queue)[_FAILED] += 1

    async def flush(self) -> None:
        """Write what was counted.

        Raises:
            StoreError: it could not be written, and is still there.
        """
        async with self._flushing:  # whoever reads then finds what another call was writing
            counts, self._counts = self._counts, {}
            if not counts:
                return
            try:
                await self._write(counts)
            except BaseException:
                merge(self._counts, counts)
                raise

    async def close(self) -> None:
        """Write what is left, if that can be done."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
        elif not self._timed:
            with contextlib.suppress(StoreError):
                await self.flush()

    async def _flush_later(self) -> None:
        try:
            while self._counts:
                await asyncio.sleep(FLUSH)
                with contextlib.suppress(StoreError):
                    await self.flush()
                self._drop_old()
            self._timer = None
        finally:
            # Here too, and not only in `close`: a loop that ends cancels its tasks while all still
            # works. A script that leaves without either has no threads any more that could write.
            with contextlib.suppress(StoreError, RuntimeError):
                await self.flush()

    def _drop_old(self) -> None:
        """Forget what could not be written for so long that nobody will look at it."""
        oldest = self._clock() - STEPS[min(STEPS)] * 1000
        self._counts = {key: count for key, count in self._counts.items() if key[0] > oldest}


class _ByQueue(dict[str, Count]):
    """The counts of now, each looked up once a call."""

    def __init__(self, of: Callable[[str], Count]) -> None:
        self._of = of

    def __missing__(self, queue: str) -> Count:
        count = self[queue] = self._of(queue)
        return count


def _now() -> int:
    return time.time_ns() // 1_000_000


def _add(count: Count, first: int, seconds: float) -> None:
    count[first] += int(seconds * 1000 + 0.5)
    count[first + 1 + bisect_left(BOUNDS, seconds)] += 1


def merge(into: Counts, counts: Counts) -> None:
    """Add counts to others."""
    for key, count in counts.items():
        known = into.get(key)
        into[key] = count if known is None else [a + b for a, b in zip(known, count, strict=True)]


def in_steps(counts: Counts, step: int) -> Counts:
    """Counts added up to longer steps of `step` seconds."""
    longer: Counts = {}
    for (at, queue), count in counts.items():
        merge(longer, {(at - at % (step * 1000), queue): count})
    return longer


def kept_step(step: int) -> int:
    """The longest step that is kept and of which `step` is a multiple.

    Raises:
        ConfigError: there is none.
    """
    fitting = [one for one in STEPS if step > 0 and step % one == 0]
    if not fitting:
        raise ConfigError(f"figures come in steps of a multiple of {min(STEPS)} s, not {step} s")
    return max(fitting)


def to_figures(counts: Counts, step: int) -> list[Figures]:
    """Counts as they are shown, oldest first."""
    return [_figures(*key, count) for key, count in sorted(in_steps(counts, step).items())]


def _figures(at: int, queue: str, count: Count) -> Figures:
    return Figures(
        at=datetime.fromtimestamp(at / 1000, UTC),
        queue=queue,
        wait=_spread(count, _WAIT),
        run=_spread(count, _RUN),
        **dict(zip(COUNTED, count, strict=False)),
    )


def _spread(count: Count, first: int) -> Spread:
    return Spread(count[first] / 1000, tuple(count[first + 1 : first + 1 + _BUCKETS]))
