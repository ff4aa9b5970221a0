"""The model's part for those who look on: feed, figures, keys, actions."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from ferryman.domain.errors import ConfigError
from ferryman.domain.figures import STEPS, Figures
from ferryman.domain.job import JobEvent
from ferryman.domain.operators import KEPT_ACTIONS, ActionPage, ApiKey, OperatorAction
from ferryman.stores.base import FeedPage
from ferryman.stores.tally import Counts, Tally, kept_step, merge, to_figures
from tests.contract.model_data import ModelData, moment


class ModelOnlookers:
    """What the model tells those who look on."""

    def __init__(self, data: ModelData, clock: Callable[[], int]) -> None:
        self.data = data
        self.clock = clock
        self.tally = Tally(self._write, clock)

    async def _write(self, counts: Counts) -> None:
        merge(self.data.counts, counts)

    async def events(
        self, job_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[JobEvent]:
        record = self.data.records.get(job_id)
        events = record.events if record else []
        return [event for event in events if event.seq > after][:limit]

    async def feed(self, cursor: str | None, *, limit: int = 500) -> FeedPage:
        if cursor is None:
            return FeedPage((), f"feed-{len(self.data.feed)}")
        prefix, _, number = cursor.partition("-")
        if prefix != "feed" or not number.isdecimal():
            raise ConfigError(f"{cursor!r} is not a cursor of this store")
        first = int(number)
        found = tuple(self.data.feed[first : first + limit])
        return FeedPage(found, f"feed-{first + len(found)}", more=len(found) == limit)

    async def wait_for_events(self, timeout: float) -> None:
        await asyncio.sleep(min(timeout, 0.01))

    async def figures(self, since: datetime, step: int) -> list[Figures]:
        kept_step(step)
        await self.tally.flush()
        oldest = self.clock() - max(STEPS.values()) * 1000
        counts = {key: count for key, count in self.data.counts.items() if key[0] >= oldest}
        return [
            one for one in to_figures(counts, step) if one.at.timestamp() > since.timestamp() - step
        ]

    async def keys(self) -> list[ApiKey]:
        return list(self.data.keys.values())

    async def key(self, id: str) -> ApiKey | None:
        return self.data.keys.get(id)

    async def add_key(self, key: ApiKey) -> ApiKey:
        if key.id in self.data.keys:
            raise ConfigError(f"there is an API key {key.id} already")
        key = msgspec.structs.replace(key, created_at=moment(self.clock()), revoked_at=None)
        self.data.keys[key.id] = key
        return key

    async def revoke_key(self, id: str) -> bool:
        key = self.data.keys.get(id)
        if key is None or key.revoked_at is not None:
            return False
        self.data.keys[id] = msgspec.structs.replace(key, revoked_at=moment(self.clock()))
        return True

    async def record(self, action: OperatorAction) -> None:
        self.data.actions.append(msgspec.structs.replace(action, at=moment(self.clock())))
        del self.data.actions[:-KEPT_ACTIONS]

    async def actions(self, *, limit: int = 50, cursor: str | None = None) -> ActionPage:
        if cursor is not None and not cursor.isdecimal():
            raise ConfigError(f"{cursor!r} is not a cursor of this store")
        end = len(self.data.actions) if cursor is None else int(cursor)
        found: Sequence[OperatorAction] = self.data.actions[max(0, end - limit) : end][::-1]
        return ActionPage(tuple(found), str(end - limit) if end > limit else None)
