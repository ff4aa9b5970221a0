"""How much one caller may ask for: the size of a body, and requests a second."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferryman.http.problems import Problem

CALLERS: Final = 10_000
"""Callers that are kept count of; beyond it, who has been quiet longest is forgotten."""


class BodyLimit:
    """Refuses bodies over `most` bytes, before they are read where their length is told."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and count what comes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told) > self._most:
            await self._refusal().response()(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._most:
                raise self._refusal()
            return message

        await self._app(scope, counted, send)

    def _refusal(self) -> Problem:
        return Problem(
            413, "too-large", f"a request may have {self._most:,} bytes: send less in one"
        )


class RateLimit:
    """A token bucket for each caller, in this process.

    Args:
        rate: requests a second; 0 is: without limit.
        burst: requests at once.
    """

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one request.

        Raises:
            Problem: 429, with the seconds after which the next one is free.
        """
        if not self._rate:
            return
        now = self._clock()
        left, since = self._buckets.pop(caller, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._rate)
        if left < 1:
            self._buckets[caller] = (left, now)
            wait = (1 - left) / self._rate
            raise Problem(
                429,
                "too-many-requests",
                f"at most {self._rate:g} requests a second, {self._burst} at once: try again "
                f"in {wait:.2f} s",
                retry_after=wait,
            )
        self._buckets[caller] = (left - 1, now)
        if len(self._buckets) > CALLERS:
            self._buckets.popitem(last=False)
