"""Plays the worker: claims a job and ends it, so that the client's side can be seen."""

from ferryman import Ferryman, codec
from ferryman.domain.ids import new_id
from ferryman.domain.job import Delivery, WorkerInfo
from ferryman.domain.outcomes import Ending, Failure
from ferryman.domain.states import JobState, Reason
from ferryman.stores.base import ClaimRequest


async def claim(app: Ferryman, queue: str = "default", limit: int = 1) -> list[Delivery]:
    """What a worker gets of a queue."""
    store = await app.store()
    worker = WorkerInfo(
        id=new_id(), name="w", host="here", pid=1, queues=(queue,), concurrency=limit
    )
    await store.register(worker, 60.0)
    return await store.claim(ClaimRequest(worker=worker.id, queues=(queue,), limit=limit))


async def succeed(app: Ferryman, delivery: Delivery, result: object) -> None:
    """End a delivery with a result."""
    await _finish(
        app, delivery, JobState.SUCCEEDED, Reason.RETURNED, result=codec.encode_result(result)
    )


async def fail(app: Ferryman, delivery: Delivery, message: str) -> None:
    """End a delivery as a dead letter."""
    failure = Failure(kind="ValueError", message=message)
    await _finish(app, delivery, JobState.FAILED, Reason.PERMANENT, failure=failure, charge=1)


async def _finish(
    app: Ferryman,
    delivery: Delivery,
    state: JobState,
    reason: Reason,
    *,
    result: bytes | None = None,
    failure: Failure | None = None,
    charge: int = 0,
) -> None:
    store = await app.store()
    ending = Ending(
        job_id=delivery.job_id,
        queue=delivery.queue,
        token=delivery.token,
        state=state,
        reason=reason,
        result=result,
        failure=failure,
        charge=charge,
    )
    assert await store.finish([ending]) == ["applied"]
