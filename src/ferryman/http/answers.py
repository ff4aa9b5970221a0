"""Answers: as JSON, written by msgspec, and as a stream that there cannot be now."""

import random
from typing import Any, Final

import msgspec
from starlette.responses import Response

COME_AGAIN: Final = (1.0, 3.0)
"""Seconds after which a browser comes again, drawn evenly: not all of them at once."""

STREAM_HEADERS: Final = {
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
}

NO_STORE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """A record as JSON."""
    return _encoder.encode(value)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A record as an answer that nobody keeps."""
    return Response(
        encode(value),
        status,
        {**NO_STORE, **(headers or {})},
        media_type="application/json",
    )


def come_again(low: float = COME_AGAIN[0], high: float = COME_AGAIN[1]) -> bytes:
    """The line that says when to open the stream again."""
    return b"retry: %d\n\n" % (1000 * random.uniform(low, high))  # noqa: S311 - spreads load


def nothing_yet(after: float = 0.0) -> Response:
    """An answer where there can be no stream now.

    An `EventSource` gives up for good at anything but 200, and comes again after the end of that.
    """
    body = come_again(COME_AGAIN[0] + after, COME_AGAIN[1] + after)
    return Response(body, headers=STREAM_HEADERS, media_type="text/event-stream")
