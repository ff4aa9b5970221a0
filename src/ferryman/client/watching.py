"""Watching a job: its events as they happen, over every break of the connection."""

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from ferryman.client.access import Access
from ferryman.client.handles import found
from ferryman.domain.errors import StoreUnavailable
from ferryman.domain.job import EventKind, JobEvent
from ferryman.stores import JobStore

POLL: Final = 1.0
"""Seconds after which a watcher looks by itself."""

REST: Final = 0.03
"""Seconds between two looks at least, however much happens to other jobs."""

PAUSES: Final = (0.1, 2.0)
"""Seconds between two attempts to reach a store that is away: at first, and at most."""


async def awatched(access: Access, job_id: str, after: int) -> AsyncGenerator[JobEvent, None]:
    """The events of a job behind `after`, until it has ended.

    Raises:
        JobNotFound: the store does not hold it.
    """
    pause, known = PAUSES[0], False
    while True:
        try:
            store = await access.store()
            news = await store.events(job_id, after=after)
            over = await _is_over(store, job_id, after, news)
            pause, known = PAUSES[0], True
        except StoreUnavailable:
            if not known:
                raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            pause = min(2 * pause, PAUSES[1])
            continue
        for event in news:
            yield event
            after = event.seq
        if over:
            return
        await _pause(store)


async def _is_over(store: JobStore, job_id: str, after: int, news: list[JobEvent]) -> bool:
    """Whether the job has ended, so that nothing will follow what is new."""
    changes = [event for event in news if event.kind is EventKind.STATE]
    if changes or news:
        return bool(changes) and changes[-1].target.terminal
    [job] = await store.get([job_id])
    # What came about between the two looks is told first.
    return found(job_id, job).state.terminal and not await store.events(
        job_id, after=after, limit=1
    )


async def _pause(store: JobStore) -> None:
    await asyncio.sleep(REST)
    try:
        await store.wait_for_events(POLL)
    except StoreUnavailable:
        await asyncio.sleep(PAUSES[0])


def watched(access: Access, job_id: str, after: int) -> Iterator[JobEvent]:
    """`awatched`, for synchronous code."""
    events = awatched(access, job_id, after)

    async def following() -> JobEvent | None:
        return await anext(events, None)

    try:
        while (event := access.run(following())) is not None:
            yield event
    finally:
        access.run(events.aclose())
