"""Progress and checkpoints of running jobs, under their tokens only."""

from ferryman.domain.job import Delivery, Progress
from ferryman.domain.states import JobState
from ferryman.stores.base import ProgressUpdate, Verdict
from tests.contract.world import World, each


def update(
    delivery: Delivery,
    progress: Progress | None = None,
    checkpoint: bytes | None = None,
    **fields: object,
) -> ProgressUpdate:
    known = {"job_id": delivery.job_id, "queue": delivery.queue, "token": delivery.token}
    return ProgressUpdate(progress=progress, checkpoint=checkpoint, **(known | fields))  # type: ignore[arg-type]


@each(
    Progress(3, 10, "page 3"),
    Progress(0.1, None, ""),
    Progress(1e12, 1e12, "é \U0001f6a2 %s {x} \x00 '\"" * 40),
)
async def test_progress_is_seen(world: World, progress: Progress) -> None:
    delivery = await world.running()
    assert await world.store.progress([update(delivery, progress)]) == ["applied"]
    assert (await world.job(delivery.job_id)).progress == progress
    assert await world.store.progress([update(delivery, Progress(9))]) == ["applied"]
    assert (await world.job(delivery.job_id)).progress == Progress(9)


async def test_a_checkpoint_comes_with_the_next_delivery(world: World) -> None:
    delivery = await world.running()
    checkpoint = bytes(range(256)) * 10
    await world.store.progress([update(delivery, checkpoint=checkpoint)])
    await world.finish(delivery, JobState.QUEUED)
    assert (await world.again(delivery)).checkpoint == checkpoint


async def test_an_empty_checkpoint_is_one(world: World) -> None:
    delivery = await world.running()
    await world.store.progress([update(delivery, checkpoint=b"")])
    await world.finish(delivery, JobState.QUEUED)
    assert (await world.again(delivery)).checkpoint == b""


async def test_what_an_update_leaves_out_stays(world: World) -> None:
    delivery = await world.running()
    await world.store.progress([update(delivery, Progress(1, 2, "half"), b"one")])
    await world.store.progress([update(delivery, checkpoint=b"two")])
    assert (await world.job(delivery.job_id)).progress == Progress(1, 2, "half")
    await world.store.progress([update(delivery, Progress(2, 2, "whole"))])
    await world.finish(delivery, JobState.QUEUED)
    assert (await world.job(delivery.job_id)).progress == Progress(2, 2, "whole")
    assert (await world.again(delivery)).checkpoint == b"two"


async def test_progress_stays_when_the_job_has_ended(world: World) -> None:
    delivery = await world.running()
    await world.store.progress([update(delivery, Progress(2, 2))])
    await world.finish(delivery)
    assert (await world.job(delivery.job_id)).progress == Progress(2, 2)


async def test_a_stale_token_reports_nothing(world: World) -> None:
    old = await world.running()
    await world.store.hand_back(await world.tireless(), kill=False)
    late = update(old, Progress(9), b"late")
    assert await world.store.progress([late]) == ["stale"]
    new = await world.again(old)
    assert await world.store.progress([late]) == ["stale"]
    assert new.checkpoint is None
    assert (await world.job(old.job_id)).progress is None
    assert await world.store.progress([update(new, Progress(1))]) == ["applied"]


@each(JobState.SUCCEEDED, JobState.SCHEDULED, JobState.QUEUED)
async def test_a_job_that_runs_no_more_has_no_progress(world: World, state: JobState) -> None:
    delivery = await world.running()
    await world.finish(delivery, state, delay=1.0 if state is JobState.SCHEDULED else 0.0)
    before = await world.job(delivery.job_id)
    assert await world.store.progress([update(delivery, Progress(1), b"x")]) == ["stale"]
    assert await world.job(delivery.job_id) == before


async def test_updates_get_a_verdict_each_in_their_order(world: World) -> None:
    first, second = await world.running(), await world.running()
    verdicts = await world.store.progress(
        [
            update(first, Progress(1)),
            update(first, Progress(1), job_id="missing"),
            update(second, Progress(2), token=second.token + 1),
            update(second, Progress(3)),
        ]
    )
    assert verdicts == [Verdict.APPLIED, Verdict.MISSING, Verdict.STALE, Verdict.APPLIED]
    assert (await world.job(first.job_id)).progress == Progress(1)
    assert (await world.job(second.job_id)).progress == Progress(3)
    assert await world.store.progress([]) == []


async def test_progress_is_one_event_that_changes_no_state(world: World) -> None:
    delivery = await world.running()
    for step in range(5):
        await world.store.progress([update(delivery, Progress(step))])
    *before, last = await world.store.events(delivery.job_id)
    assert [event.target for event in before] == [JobState.QUEUED, JobState.RUNNING]
    assert last.progress == Progress(4)
