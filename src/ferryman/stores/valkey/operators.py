"""API keys, what operators did, and the figures of what went through the queues."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from ferryman.domain.errors import ConfigError
from ferryman.domain.figures import STEPS, Figures
from ferryman.domain.operators import KEPT_ACTIONS, ActionPage, ApiKey, OperatorAction
from ferryman.settings import Settings
from ferryman.stores.tally import SIZE, Counts, Tally, in_steps, kept_step, to_figures
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.base import Grounds
from ferryman.stores.valkey.records import moment

_CURSOR: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")

_encode: Final = msgspec.msgpack.Encoder().encode
_key: Final = msgspec.msgpack.Decoder(ApiKey).decode
_action: Final = msgspec.msgpack.Decoder(OperatorAction).decode


class Operators(Grounds):
    """The verbs of those who run the place."""

    def __init__(self, settings: Settings, clock: Callable[[], int] | None = None) -> None:
        super().__init__(settings, clock)
        self._tally: Final = Tally(self._write_counts, clock, timed=self.on_loop)

    async def _moment(self) -> datetime:
        if self._clock is not None:
            return moment(self._clock())
        seconds, micros = await self._link.run(calls.command("TIME"), repeat=True)
        return moment(int(seconds) * 1000 + int(micros) // 1000)

    # -- figures -------------------------------------------------------------------------------

    async def _write_counts(self, counts: Counts) -> None:
        by_queue: dict[str, list[tuple[int, int, int, list[int]]]] = {}
        for step, age in STEPS.items():
            for (at, queue), count in in_steps(counts, step).items():
                by_queue.setdefault(queue, []).append((step, at, age * 1000, count))
        await self._link.run_all(
            [calls.tally(self._target(queue), steps) for queue, steps in by_queue.items()]
        )

    async def figures(self, since: datetime, step: int) -> list[Figures]:
        """See `JobStore.figures`."""
        kept = kept_step(step)
        await self._tally.flush()
        now = round((await self._moment()).timestamp() * 1000)
        first = round(since.timestamp() * 1000)
        first = max(first, now - STEPS[kept] * 1000) // (step * 1000) * step * 1000
        asked = [
            (at, queue)
            for queue in await self._queue_names()
            for at in range(first, now + 1, kept * 1000)
        ]
        found = await self._link.run_all(
            [
                calls.command("HGETALL", f"{self._keys.queue(queue)}figures:{kept}:{at}")
                for at, queue in asked
            ],
            repeat=True,
        )
        counts = {key: _count(reply) for key, reply in zip(asked, found, strict=True) if reply}
        return to_figures(counts, step)

    # -- keys ----------------------------------------------------------------------------------

    async def keys(self) -> list[ApiKey]:
        """See `JobStore.keys`."""
        reply = await self._link.run(
            calls.command("HVALS", f"{self._keys.shared}apikeys"), repeat=True
        )
        return sorted(map(_key, reply), key=lambda key: (str(key.created_at), key.id))

    async def key(self, id: str) -> ApiKey | None:
        """See `JobStore.key`."""
        stored = await self._stored_key(id)
        return _key(stored) if stored else None

    async def _stored_key(self, id: str) -> bytes:
        call = calls.command("HGET", f"{self._keys.shared}apikeys", id)
        return await self._link.run(call, repeat=True) or b""

    async def add_key(self, key: ApiKey) -> ApiKey:
        """See `JobStore.add_key`."""
        key = msgspec.structs.replace(key, created_at=await self._moment(), revoked_at=None)
        call = calls.change_key(self._keys.shared, key.id, _encode(key), b"")
        if not await self._link.run(call):
            raise ConfigError(f"there is an API key {key.id} already")
        return key

    async def revoke_key(self, id: str) -> bool:
        """See `JobStore.revoke_key`."""
        stored = await self._stored_key(id)
        key = _key(stored) if stored else None
        if key is None or key.revoked_at is not None:
            return False
        revoked = _encode(msgspec.structs.replace(key, revoked_at=await self._moment()))
        return await self._link.run(calls.change_key(self._keys.shared, id, revoked, stored))

    # -- actions -------------------------------------------------------------------------------

    async def record(self, action: OperatorAction) -> None:
        """See `JobStore.record`."""
        written = _encode(msgspec.structs.replace(action, at=await self._moment()))
        key = f"{self._keys.shared}actions"
        await self._link.run(
            calls.command("XADD", key, "MAXLEN", KEPT_ACTIONS, "*", "action", written)
        )

    async def actions(self, *, limit: int = 50, cursor: str | None = None) -> ActionPage:
        """See `JobStore.actions`."""
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise ConfigError(f"{cursor[:100]!r} is no cursor of this store")
        before = "+" if cursor is None else f"({cursor}"
        call = calls.command(
            "XREVRANGE", f"{self._keys.shared}actions", before, "-", "COUNT", limit + 1
        )
        reply = await self._link.run(call, repeat=True)
        found = tuple(_action(values[1]) for _, values in reply[:limit])
        return ActionPage(found, reply[limit - 1][0].decode() if len(reply) > limit else None)


def _count(reply: list[Any]) -> list[int]:
    count = [0] * SIZE
    for measure, value in zip(reply[::2], reply[1::2], strict=True):
        count[int(measure)] = int(value)
    return count
