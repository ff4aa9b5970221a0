"""What every part of the store stands on: the link, the key names, the clock, the queues."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final, TypeVar

from ferryman.domain.errors import ConfigError
from ferryman.settings import Settings
from ferryman.stores.base import Verdict
from ferryman.stores.gathering import BATCH
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.calls import Announced, Now, Target
from ferryman.stores.valkey.connection import Call, Link
from ferryman.stores.valkey.keys import Keys

T = TypeVar("T")

STEP: Final = 250
"""Jobs that one script call of the upkeep handles, which nobody waits for."""


class Grounds:
    """One server and one namespace of it."""

    link_kind: ClassVar[type[Link]] = Link
    on_loop: ClassVar[bool] = True

    def __init__(self, settings: Settings, clock: Callable[[], int] | None = None) -> None:
        if settings.valkey_url is None:
            raise ConfigError("the Valkey store needs FERRYMAN_VALKEY_URL")
        self._settings: Final = settings
        self._keys: Final = Keys(settings.namespace)
        self._link: Final = self.link_kind(settings.valkey_url, settings.store_timeout)
        self._clock = clock
        self._known: set[str] = set()

    def _now(self) -> Now:
        """The injected clock's moment; "" lets the server's clock decide."""
        return "" if self._clock is None else self._clock()

    def _target(self, queue: str) -> Target:
        return Target(queue, self._keys.queue(queue))

    async def _queue_names(self) -> list[str]:
        """Every queue that has held a job or was paused, by name."""
        reply = await self._link.run(
            calls.command("SMEMBERS", f"{self._keys.shared}queues"), repeat=True
        )
        self._known = {name.decode() for name in reply}
        return sorted(self._known)

    async def _announce(self, queue: str) -> Announced:
        """Make a queue known before its first job, so that no job can be in an unknown one."""
        self._keys.queue(queue)  # a name that is not legal is refused before it is written
        announced = await self._link.run(calls.announce(self._keys.shared, queue), repeat=True)
        self._known.add(queue)
        return announced

    async def _locate(self, ids: Sequence[str]) -> dict[str, str]:
        """The queues of some jobs; ids that are nowhere are left out.

        No index by id is paid for by each job; instead each queue is asked, in one round trip.
        Queues that are new to this process are asked only if something was not found.
        """
        asked = sorted(self._known)
        found = await self._ask(asked, ids)
        missing = [job_id for job_id in ids if job_id not in found]
        if missing:
            names = await self._queue_names()
            found |= await self._ask([name for name in names if name not in asked], missing)
        return found

    async def _ask(self, queues: Sequence[str], ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in batched(ids, BATCH):
            located = await self._link.run_all(
                [calls.locate(self._target(queue), part) for queue in queues], repeat=True
            )
            for queue, here in zip(queues, located, strict=True):
                for job_id in itertools.compress(part, here):
                    found.setdefault(job_id, queue)
        return found

    async def _judge(
        self, ids: Sequence[str], call: Callable[[Target, list[str]], Call[list[Verdict]]]
    ) -> list[Verdict]:
        """Do something to jobs wherever they are; a verdict for each id, in the order of `ids`."""
        if not ids:
            return []
        found = await self._locate(ids)
        verdicts: dict[str, list[Verdict]] = {}
        for queue in sorted(set(found.values())):
            here = [job_id for job_id in ids if found.get(job_id) == queue]
            for part in batched(here, BATCH):
                given = await self._link.run(call(self._target(queue), part))
                for job_id, verdict in zip(part, given, strict=True):
                    verdicts.setdefault(job_id, []).append(verdict)
        return [verdicts[one].pop(0) if one in verdicts else Verdict.MISSING for one in ids]

    async def _sweep(
        self, limit: int, step: Callable[[Target, int], Call[T]], size: Callable[[T], int]
    ) -> list[tuple[str, T]]:
        """Take an upkeep step in all queues at once, until none has more or `limit` is reached."""
        queues = await self._queue_names()
        replies: list[tuple[str, T]] = []
        while queues and limit > 0:
            queues = queues[:limit]
            share = min(STEP, limit // len(queues))
            steps = [step(self._target(queue), share) for queue in queues]
            given = list(zip(queues, await self._link.run_all(steps, repeat=True), strict=True))
            limit -= sum(size(reply) for _, reply in given)
            queues = [queue for queue, reply in given if size(reply) == share]
            replies += given
        return replies


def batched(items: Iterable[T], size: int) -> list[list[T]]:
    """`items` in lists of at most `size`."""
    values = list(items)
    return [values[at : at + size] for at in range(0, len(values), size)]
