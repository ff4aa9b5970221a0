"""docket (pydocket)."""

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from docket import Docket, Worker

from benchmarks import bodies
from benchmarks.peers.base import VALKEY, Arguments, Work, run
from benchmarks.peers.base import Peer as Base


def _docket() -> Any:
    # 100 jobs at a time need more connections than it would make by itself.
    docket = Docket(name="bench", url=f"{VALKEY}?max_connections=500")
    for function in bodies.of_kind("async").values():
        docket.register(function)
    return docket


class Peer(Base):
    settings = (
        "hiredis, uvloop, cloudpickle (its only way), concurrency 100, max_connections 500, "
        "results kept for 15 min"
    )
    burn = "burn_async"

    async def open(self) -> None:
        self._docket = _docket()
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(self._docket)

    async def close(self) -> None:
        await self._stack.aclose()

    async def enqueue(self, task: str, arguments: Arguments) -> Any:
        return await self._docket.add(bodies.TASKS[task])(*arguments)

    async def enqueue_many(self, task: str, calls: Sequence[Arguments]) -> Any:
        function = bodies.TASKS[task]
        return await self._docket.add_many([self._docket.call(function)(*call) for call in calls])

    def work(self, work: Work) -> None:
        logging.getLogger("docket").setLevel(logging.ERROR)
        run(self._work(1 if work.burns else work.concurrency or 100))

    async def _work(self, concurrency: int) -> None:
        async with _docket() as docket, Worker(docket, concurrency=concurrency) as worker:
            await worker.run_forever()
