"""The application in its next release: one task more, and arguments of a newer layout."""

import asyncio

from chaos.jobs import app, told
from ferryman.worker import executor

setattr(executor, "PAYLOAD_VERSION", 2)  # noqa: B010 - not for type checkers


@app.task
async def work_next(seconds: float) -> int:
    with told() as run:
        await asyncio.sleep(seconds)
        return run.effect()
