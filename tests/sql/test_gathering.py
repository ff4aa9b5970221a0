"""Single jobs that many submit at once: they share transactions, and nothing else."""

import asyncio

from ferryman.domain.errors import JobExists
from ferryman.domain.job import Submitted
from ferryman.stores.sql.store import SqlStore
from tests.contract.world import new_job
from tests.sql.plans import statements


async def test_a_hundred_at_once_share_transactions(ticking: SqlStore) -> None:
    with statements() as seen:
        answers = await asyncio.gather(*(ticking.submit([new_job(f"a{n}")]) for n in range(100)))
    assert [one.created for (one,) in answers] == [True] * 100
    assert len(seen) <= 10


async def test_a_refused_job_is_refused_alone(ticking: SqlStore) -> None:
    jobs = [new_job(f"a{n}", unique="k" if n % 10 == 5 else None) for n in range(50)]
    answers = await asyncio.gather(*(ticking.submit([job]) for job in jobs), return_exceptions=True)
    for job, answer in zip(jobs, answers, strict=True):
        if job.unique is None or job.id == "a5":
            assert answer == [Submitted(job.id, "default", True)]
        else:
            assert isinstance(answer, JobExists)
            assert answer.job_id == "a5"
    assert len([job for job in await ticking.get([job.id for job in jobs]) if job]) == 46


async def test_a_job_that_cannot_be_stored_is_refused_alone(ticking: SqlStore) -> None:
    jobs = [new_job("a"), new_job("b", unique="half of a pair: \ud800"), new_job("c")]
    answers = await asyncio.gather(*(ticking.submit([job]) for job in jobs), return_exceptions=True)
    assert answers[0] == [Submitted("a", "default", True)]
    assert isinstance(answers[1], Exception)
    assert answers[2] == [Submitted("c", "default", True)]
