"""Single jobs that many callers submit at once, gathered into few calls."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from ferryman.domain.errors import StoreError, StoreUnavailable
from ferryman.domain.job import NewJob, Submitted
from ferryman.stores.valkey.base import bounded
from ferryman.stores.valkey.records import PackedJob

Answer = Submitted | Exception
"""What became of one job: taken in, or refused."""


class _Waiting(NamedTuple):
    job: NewJob
    packed: PackedJob
    answer: "asyncio.Future[Submitted]"


class Gathering:
    """The single jobs of one queue.

    One that comes alone is sent at once. Those that come while a call is under way share the next
    one, and each caller gets his own answer: a refusal is for him alone, and if he is cancelled the
    others are not.

    Args:
        send: submits jobs of this queue in one call; an answer for each.
    """

    def __init__(
        self, send: Callable[[Sequence[NewJob], Sequence[PackedJob]], Awaitable[list[Answer]]]
    ) -> None:
        self._send = send
        self._under_way = False
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None

    async def submit(self, job: NewJob, packed: PackedJob) -> Submitted:
        """Take the job in.

        Raises:
            JobExists: a live job holds its unique key.
            StoreError: the call that it shared failed.
        """
        if self._under_way:
            waiting = _Waiting(job, packed, asyncio.get_running_loop().create_future())
            self._waiting.append(waiting)
            return await waiting.answer
        self._under_way = True
        try:
            (answer,) = await self._send([job], [packed])
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
            part = next(bounded(self._waiting, lambda one: len(one.job.args)))
            del self._waiting[: len(part)]
            self._sending = asyncio.create_task(self._send_part(part))

    async def _send_part(self, part: Sequence[_Waiting]) -> None:
        try:
            answers = await self._send([one.job for one in part], [one.packed for one in part])
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
    def _fail(part: Sequence[_Waiting], error: StoreError) -> None:
        """A server that cannot be reached is so for all who wait: they need not try one by one."""
        for one in part:
            if not one.answer.done():
                one.answer.set_exception(type(error)(*error.args))
