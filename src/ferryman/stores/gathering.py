"""What many callers want written at once, gathered into few calls."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from ferryman.domain.errors import StoreError, StoreUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST: Final = 1000
"""Items in one call."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes in one call, where more than one item is in it."""


class _Waiting(NamedTuple, Generic[Item, Answer]):
    item: Item
    answer: "asyncio.Future[Answer]"


class Gathering(Generic[Item, Answer]):
    """Sends items, each for a caller who waits for its answer.

    One that comes alone is sent at once. Those that come while a call is under way share the next
    one, and each caller gets his own answer: a refusal is for him alone, and if he is cancelled the
    others are not.

    Args:
        send: sends items in one call; an answer for each, or what refused it.
        size: how many bytes an item has, about.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        size: Callable[[Item], int],
    ) -> None:
        self._send = send
        self._size = size
        self._waiting: list[_Waiting[Item, Answer]] = []
        self._sending: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Answer:
        """The answer to an item.

        Raises:
            StoreError: the call that it shared failed.
            Exception: what refused it.
        """
        waiting = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        answer: Answer = await waiting.answer
        return answer

    async def _send_all(self) -> None:
        """In a task of its own: no caller's end is the others'."""
        try:
            while part := self._next_part():
                await self._send_part(part)
        finally:
            self._sending = None

    def _next_part(self) -> list[_Waiting[Item, Answer]]:
        waiting = [one for one in self._waiting if not one.answer.done()]
        total = count = 0
        for one in waiting[:MOST]:
            total += self._size(one.item)
            if count and total > MOST_BYTES:
                break
            count += 1
        part, self._waiting = waiting[:count], waiting[count:]
        return part

    async def _send_part(self, part: Sequence[_Waiting[Item, Answer]]) -> None:
        try:
            answers = await self._send([one.item for one in part])
        except StoreError as error:
            _fail(part, error)
            if isinstance(error, StoreUnavailable):
                # It is so for all who wait: they need not find out one by one.
                _fail(self._waiting, error)
        except BaseException:
            for one in (*part, *self._waiting):
                one.answer.cancel()
            raise
        else:
            for one, answer in zip(part, answers, strict=True):
                if one.answer.done():
                    continue  # its caller was cancelled
                if isinstance(answer, Exception):
                    one.answer.set_exception(answer)
                else:
                    one.answer.set_result(answer)

    async def close(self) -> None:
        """Return once what is under way has been answered."""
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)


def _fail(part: Sequence[_Waiting[Item, Answer]], error: StoreError) -> None:
    for one in part:
        if not one.answer.done():
            one.answer.set_exception(type(error)(*error.args))
