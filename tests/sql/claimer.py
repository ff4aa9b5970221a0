"""A process of its own that claims until nothing is left, and says what it got.

python -m tests.sql.claimer DATABASE_URL LIMIT
"""

import asyncio
import os
import sys

import msgspec

from ferryman.domain.ids import new_id
from ferryman.domain.job import WorkerInfo
from ferryman.domain.outcomes import Ending
from ferryman.domain.states import JobState, Reason
from ferryman.settings import Settings
from ferryman.stores.base import ClaimRequest, Verdict
from ferryman.stores.sql.store import SqlStore


async def claim_all(url: str, limit: int) -> list[tuple[str, int]]:
    """Every delivery that this process got, each of which it ended."""
    store = SqlStore(Settings(database_url=url, allow=("no-fsync",)))
    await store.open()
    worker = WorkerInfo(
        id=new_id(), name="w", host="h", pid=os.getpid(), queues=("default",), concurrency=limit
    )
    await store.register(worker, 60)
    request = ClaimRequest(worker=worker.id, queues=("default",), limit=limit)
    # Before it is ready, so that no process is left without any.
    deliveries = await store.claim(request)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    taken: list[tuple[str, int]] = []
    while deliveries:
        taken += [(one.job_id, one.token) for one in deliveries]
        endings = [
            Ending(
                job_id=one.job_id,
                queue=one.queue,
                token=one.token,
                state=JobState.SUCCEEDED,
                reason=Reason.RETURNED,
            )
            for one in deliveries
        ]
        verdicts, deliveries = await store.finish_and_claim(endings, request)
        assert set(verdicts) == {Verdict.APPLIED}
    await store.close()
    return taken


if __name__ == "__main__":
    found = asyncio.run(claim_all(sys.argv[1], int(sys.argv[2])))
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
