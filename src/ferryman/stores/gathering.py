"""Single jobs that many callers submit at once, gathered into few calls."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from ferryman.domain.errors import StoreError, StoreUnavailable
from ferryman.domain.job import Submitted

T = TypeVar("T")

BATCH: Final = 1000
"""Jobs that one call handles at most, so that no call holds up the server for long."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes of arguments or results that one call takes, a single larger one aside."""

Answer = Submitted | Exception
"""What became of one job: taken in, or refused."""


class _Waiting(NamedTuple, Generic[T]):
    job: T
    answer: "asyncio.Future[Submitted]"


class Gathering(Generic[T]):
    """Jobs, each in the form in which it is sent.

    One that comes alone is sent at once. Those that come while a call is under way share the next
    one, and each caller gets his own answer: a refusal is for him alone, and if he is cancelled the
    others are not.

    Args:
        send: submits jobs in one call; an answer for each.
        size: the bytes of a job.
    """

    def __init__(
        self, send: Callable[[Sequence[T]], Awaitable[Sequence[Answer]]], size: Callable[[T], int]
    ) -> None:
        self._send = send
        self._size = size
        self._under_way = False
        self._waiting: list[_Waiting[T]] = []
        self._sending: asyncio.Task[None] | None = None

    async def submit(self, job: T) -> Submitted:
        """Take the job in.

        Raises:
            JobExists: a live job holds its unique key.
            StoreError: the call that it shared failed.
        """
        if self._under_way:
            waiting = _Waiting(job, asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            return await waiting.answer
        self._under_way = True
        try:
            (answer,) = await self._send([job])
        except StoreUnavailable as error:
            self._fail(self._waiting, error)
            raise
        finally:
            self._go_on()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _go_on(self) -> None:
        """Send what has come meanwhile, in a task of its own: no caller's end is the others'."""
        self._waiting = [one for one in self._waiting if not one.answer.done()]
        self._under_way = bool(self._waiting)
        if self._waiting:
            part = next(bounded(self._waiting, lambda one: self._size(one.job)))
            del self._waiting[: len(part)]
            self._sending = asyncio.create_task(self._send_part(part))

    async def _send_part(self, part: Sequence[_Waiting[T]]) -> None:
        try:
            answers = await self._send([one.job for one in part])
        except StoreError as error:
            self._fail(part, error)
            if isinstance(error, StoreUnavailable):
                self._fail(self._waiting, error)
        else:
            for one, answer in zip(part, answers, strict=True):
                if one.answer.done():
                    continue  # its caller was cancelled
                if isinstance(answer, Exception):
                    one.answer.set_exception(answer)
                else:
                    one.answer.set_result(answer)
        finally:
            self._go_on()

    @staticmethod
    def _fail(part: Sequence[_Waiting[T]], error: StoreError) -> None:
        """A server that cannot be reached is so for all who wait: they need not try one by one."""
        for one in part:
            if not one.answer.done():
                one.answer.set_exception(type(error)(*error.args))


def bounded(items: Iterable[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """`items` in lists that one call may take, by their number and by their bytes."""
    items = list(items)
    if 0 < len(items) <= BATCH and sum(map(size, items)) <= BATCH_BYTES:
        yield items
        return
    part: list[T] = []
    total = 0
    for item in items:
        length = size(item)
        if part and (len(part) == BATCH or total + length > BATCH_BYTES):
            yield part
            part, total = [], 0
        part.append(item)
        total += length
    if part:
        yield part
