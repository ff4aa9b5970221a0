"""The lane: ids of queued jobs on a server that hands them out fast, and that may forget them all.

The jobs themselves are in a database, and so is the truth about them: what is here too much is
refused there when it is claimed, and what is missing here is found there. So nothing here has to
be exact, and each call may be repeated, lost, or made twice.
"""

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ferryman.stores.base import Finding
from ferryman.stores.valkey import calls, doctor
from ferryman.stores.valkey.base import batched
from ferryman.stores.valkey.connection import Call
from ferryman.stores.valkey.hints import Hints
from ferryman.stores.valkey.records import milliseconds, pack_id, unpack_id
from ferryman.stores.valkey.scripts import load

PUSHED_AT_ONCE: Final = 2000
"""Places in one script call, so that none holds up the server for long."""


class Spot(NamedTuple):
    """Where an id goes in the lane of its queue."""

    job_id: str
    priority: int
    position: int


class Entry(NamedTuple):
    """An id that was taken; `mark` is what its settling names it by."""

    job_id: str
    queue: str
    mark: bytes

    @property
    def spot(self) -> Spot:
        """Where it was taken from."""
        _, priority, position, _ = self.mark.split(b":", 3)
        return Spot(self.job_id, int(priority), int(position))


class Lane(Hints):
    """The lanes of all queues on one server, within one namespace."""

    # -- life ------------------------------------------------------------------------------

    async def open(self) -> list[Finding]:
        """Connect, and look at the server, once: nobody has to wait for a lane that is down.

        Raises:
            StoreUnavailable, StoreError: it cannot be reached.
        """
        server = await doctor.examine(self._link, repeat=False)
        return doctor.lane_findings(server, self._settings.valkey_url)

    async def close(self) -> None:
        """Let go of every connection. Closing twice is fine."""
        await self._channels.close()
        await self._blocking.close()
        await self._link.close()

    async def probe(self) -> None:
        """Write something that goes away by itself.

        Raises:
            StoreError: the server cannot be used.
        """
        await self._link.run(calls.command("SET", f"{self._keys.shared}probe", "1", "PX", 1000))

    # -- jobs ------------------------------------------------------------------------------

    async def push(self, spots: Mapping[str, Sequence[Spot]]) -> None:
        """Put ids into the lanes of their queues, at their places, in one round trip.

        Raises:
            StoreFull: the server is at its memory limit.
            StoreError: it cannot be used.
        """
        pushes = [
            Call(load("queue", "lane_push"), self._keys.queue(queue), _packed(part), int)
            for queue, wanted in spots.items()
            for part in batched(wanted, PUSHED_AT_ONCE)
        ]
        await self._link.run_all(pushes)

    async def take(
        self,
        queues: Sequence[str],
        limit: int,
        hold: float,
        settled: Mapping[str, Sequence[bytes]] | None = None,
    ) -> tuple[bool, list[Entry]]:
        """Take up to `limit` ids from each queue in one round trip; they are put back after `hold`
        seconds.

        Args:
            settled: by queue, marks of entries, taken before, that shall not be put back.

        Returns:
            whether the lanes were filled, so that their order is that of all queued jobs; the ids.
        """
        script = load("queue", "lane_take")
        wanted = [limit, milliseconds(hold)]
        takes: list[Call[Any]] = [
            Call(
                script,
                self._keys.queue(queue),
                [*wanted, *(settled or {}).get(queue, ())],
                functools.partial(_entries, queue),
            )
            for queue in queues
        ]
        filled = calls.command("EXISTS", f"{self._keys.shared}epoch")
        present, *entries = await self._link.run_all([filled, *takes])
        return bool(present), list(itertools.chain.from_iterable(entries))

    async def give_back(self, entries: Iterable[Entry]) -> None:
        """Put entries back to their places.

        Raises:
            StoreFull, StoreError: see `push`; they are put back later by themselves.
        """
        spots: dict[str, list[Spot]] = defaultdict(list)
        marks: dict[str, list[bytes]] = defaultdict(list)
        for entry in entries:
            spots[entry.queue].append(entry.spot)
            marks[entry.queue].append(entry.mark)
        await self.push(spots)
        await self.settle(marks)

    async def settle(self, marks: Mapping[str, Sequence[bytes]]) -> None:
        """Say of each queue which of its entries shall not be put back."""
        await self._link.run_all(
            [
                calls.command("ZREM", f"{self._keys.queue(queue)}taken", *settled)
                for queue, settled in marks.items()
            ]
        )

    async def clear(self, queue: str) -> None:
        """Forget all ids of a queue."""
        prefix = self._keys.queue(queue)
        priorities = await self._link.run(calls.command("ZRANGE", f"{prefix}lanes", 0, -1))
        lanes = [f"{prefix}lane:{priority.decode()}" for priority in priorities]
        await self._link.run(calls.command("UNLINK", f"{prefix}lanes", f"{prefix}taken", *lanes))

    async def halt(self, queues: Iterable[str], seconds: float) -> None:
        """Give out nothing from these queues for some time."""
        await self._link.run_all(
            [
                calls.command(
                    "SET", f"{self._keys.queue(queue)}halted", "1", "PX", milliseconds(seconds)
                )
                for queue in queues
            ]
        )

    async def go_on(self, queue: str) -> None:
        """Give out again what a queue has."""
        await self._link.run(calls.command("DEL", f"{self._keys.queue(queue)}halted"))

    # -- epochs ----------------------------------------------------------------------------

    async def epochs(self) -> tuple[str, str]:
        """The run of the server, and the one in which its lanes were filled ("": none was)."""
        replies = await self._link.run_all(
            [calls.command("INFO", "server"), calls.command("GET", f"{self._keys.shared}epoch")]
        )
        lines = replies[0].decode("utf-8", "replace").splitlines()
        run = next((line[7:] for line in lines if line.startswith("run_id:")), "unknown")
        return run, (replies[1] or b"").decode()

    async def begin_to_fill(self, token: str, seconds: float) -> bool:
        """Whether nobody else fills the lanes, so that `token` may for some seconds."""
        key = f"{self._keys.shared}filling"
        set_ = calls.command("SET", key, token, "NX", "PX", milliseconds(seconds))
        return await self._link.run(set_) is not None

    async def go_on_filling(self, token: str, seconds: float) -> bool:
        """Have more time; false if the lanes were lost meanwhile."""
        return await self._filled(token, "", milliseconds(seconds))

    async def end_filling(self, token: str, run: str) -> bool:
        """Say that the lanes hold all; false if they were lost meanwhile."""
        return await self._filled(token, run, "")

    async def _filled(self, token: str, run: str, more: int | str) -> bool:
        script = load("shared", "lane_filled")
        return bool(await self._link.run(Call(script, self._keys.shared, [token, run, more], int)))

    async def distrust(self) -> None:
        """Have the lanes filled anew: some jobs were not pushed."""
        shared = self._keys.shared
        await self._link.run(calls.command("DEL", f"{shared}epoch", f"{shared}filling"))

    async def watches(self, token: str, seconds: float) -> bool:
        """Whether `token` is who compares lanes and database, from now for some seconds."""
        key, term = f"{self._keys.shared}watch", milliseconds(seconds)
        if await self._link.run(calls.command("SET", key, token, "NX", "PX", term)) is not None:
            return True
        if await self._link.run(calls.command("GET", key)) != token.encode():
            return False
        await self._link.run(calls.command("PEXPIRE", key, term))
        return True


def _packed(spots: Iterable[Spot]) -> list[bytes | int]:
    return [part for spot in spots for part in (spot.priority, spot.position, pack_id(spot.job_id))]


def _entries(queue: str, reply: list[bytes]) -> list[Entry]:
    return [Entry(unpack_id(mark.split(b":", 3)[3]), queue, mark) for mark in reply]
