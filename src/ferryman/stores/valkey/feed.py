"""The feed: what happened to all jobs, queue by queue, while somebody listens.

Nothing is written down for a feed that nobody follows. Whoever reads one has each queue write for
a while from then on (`KEEP`), and the first who reads begins a *period*: a position of an earlier
one says nothing about what happened in between, so its reader is told to read the state anew.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from ferryman.domain.errors import ConfigError
from ferryman.domain.job import JobEvent
from ferryman.settings import Settings
from ferryman.stores.base import FeedPage
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.calls import Stream
from ferryman.stores.valkey.hints import MARGIN, Hints
from ferryman.stores.valkey.journal import About, read_told
from ferryman.stores.valkey.records import read_description, unpack_id

KEEP: Final = 120.0
"""Seconds for which events are written down after somebody read them."""

POLL: Final = 0.5
"""Seconds after which someone who waits for events looks whether there is a new queue."""

FIRST_POLL: Final = 0.05
"""The same for someone who waits before he ever read."""


class _Place(NamedTuple):
    """Where a reader stands in a queue: the position, and the period in which it was given."""

    period: bytes
    position: bytes


_Places = Mapping[str, _Place]

_NOWHERE: Final = _Place(b"", b"0-0")
"""Where a reader stands in a queue that is newer than his cursor."""

_POSITION: Final = re.compile(rb"[0-9]{1,20}-[0-9]{1,20}")
_decode: Final = msgspec.msgpack.Decoder(dict[str, tuple[bytes, bytes]]).decode


def _write(places: _Places) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(places)).decode().rstrip("=")


def _read(cursor: str) -> dict[str, _Place]:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        places = {queue: _Place(*place) for queue, place in _decode(data).items()}
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        places = None
    if places is None or not all(_POSITION.fullmatch(one.position) for one in places.values()):
        raise ConfigError(f"{cursor[:100]!r} is no cursor of this store: pass on what a page gave")
    return places


class Feed(Hints):
    """The verbs of those who follow all jobs."""

    def __init__(self, settings: Settings, clock: Callable[[], int] | None = None) -> None:
        super().__init__(settings, clock)
        self._read_up_to: dict[str, bytes] = {}

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        """See `JobStore.feed`. Each queue gives its share of `limit`, and its events in order."""
        since = None if cursor is None else _read(cursor)
        names = await self._listened_to()
        share = max(1, limit // max(1, len(names)))
        streams = await self._streams(names, since, share)
        if since is not None and not all(one.whole for one in streams.values()):
            return msgspec.structs.replace(await self.feed(None), reset=True)
        places = {name: _Place(one.period, one.position) for name, one in streams.items()}
        self._read_up_to = {name: place.position for name, place in places.items()}
        events = [_told(name, one) for name, stream in streams.items() for one in stream.events]
        more = any(stream.more for stream in streams.values())
        return FeedPage(tuple(events), _write(places), more=more)

    async def _listened_to(self) -> Sequence[str]:
        """All queues; from before this is known, a new one writes from its first event on."""
        heard = calls.command("SET", f"{self._keys.shared}heard", "1", "PX", int(KEEP * 1000))
        await self._link.run(heard, repeat=True)
        return await self._queue_names()

    async def _streams(
        self, names: Sequence[str], since: _Places | None, limit: int
    ) -> dict[str, Stream]:
        asked = []
        for name in names:
            place = _Place(b"", b"") if since is None else since.get(name, _NOWHERE)
            keep = int(KEEP * 1000)
            asked.append(calls.feed(self._target(name), place.position, place.period, limit, keep))
        return dict(zip(names, await self._link.run_all(asked, repeat=True), strict=True))

    async def wait_for_events(self, timeout: float) -> None:
        """See `JobStore.wait_for_events`. Waits behind what this process read last."""
        if not self._read_up_to:
            await asyncio.sleep(min(timeout, FIRST_POLL))
            return
        block = max(0.01, min(timeout, POLL))
        keys = [f"{self._keys.queue(name)}feed" for name in self._read_up_to]
        call = calls.command(
            *("XREAD", "COUNT", 1, "BLOCK", round(block * 1000), "STREAMS"),
            *keys,
            *self._read_up_to.values(),
        )
        await self._blocking.run(call, timeout=block + MARGIN)


def _told(queue: str, stored: tuple[bytes, bytes, bytes]) -> JobEvent:
    packed_id, description, event = stored
    return read_told(About(unpack_id(packed_id), queue, read_description(description)), event)
