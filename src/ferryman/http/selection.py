"""Which jobs a caller may see, and acts on many of them at once."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Literal

import msgspec

from ferryman.domain.errors import JobNotFound
from ferryman.domain.job import Job
from ferryman.domain.states import JobState
from ferryman.http.bodies import Where
from ferryman.http.principal import Principal
from ferryman.http.problems import Problem
from ferryman.http.service import Service
from ferryman.http.views import Views
from ferryman.stores import JobStore
from ferryman.stores.base import JobFilter, Judge, Verdict

BATCH: Final = 500
"""Jobs that one call to the store names."""

MOST: Final = 10_000
"""Jobs that one request may change; `more` says that others are left."""

Act = Literal["cancel", "retry", "discard"]


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an act on many jobs.

    Attributes:
        matched: jobs that it was about.
        changed: of these, the ones that it changed, or whose worker was asked to stop them.
        refused: of these, the ones whose state does not allow it, or that are gone.
        more: there may be others that match; ask again.
    """

    matched: int
    changed: int = 0
    refused: int = 0
    more: bool = False
    dry_run: bool = False


def job_filter(where: Where, who: Principal) -> JobFilter:
    """What the store is asked for.

    Raises:
        Problem: 403, where a caller of one user asks for another's jobs.
    """
    fields = {
        name: getattr(where, name)
        for name in Where.__struct_fields__
        if name not in ("error", "text")
    }
    if who.user is not None:
        if where.user not in (None, who.user):
            raise Problem(
                403, "restricted-to-user", f"this key is for the jobs of user {who.user!r}"
            )
        fields["user"] = who.user
    if where.error is not None and where.state is None:
        fields["state"] = JobState.FAILED
    return JobFilter(**fields)


def accepts(where: Where, views: Views) -> Judge:
    """What the store must ask of each job: the error, and the text among what is shown.

    The store itself knows the arguments as they are: whoever searched them could guess a secret
    letter by letter.
    """
    error, text = where.error, where.text
    if error is None and text is None:
        return None
    return lambda job: (
        (error is None or error_of(job) == error) and (text is None or views.shows(job, text))
    )


def error_of(job: Job) -> str:
    """What a job's failure is called: the error's type, or the reason where there was none."""
    return job.failure.kind if job.failure else job.reason.value


async def find(store: JobStore, job_id: str, who: Principal) -> Job:
    """A job that the caller may see.

    Raises:
        JobNotFound: there is none, or it is another user's, which is not told apart.
    """
    [job] = await store.get([job_id])
    if job is None or who.user not in (None, job.user):
        raise JobNotFound(f"no job {job_id!r} in the store: it was never taken in, or is pruned")
    return job


async def scan(
    service: Service, where: Where, who: Principal, most: int
) -> AsyncIterator[tuple[list[Job], bool]]:
    """Matching jobs in batches, each with whether there may be more after it.

    Ends when about `most` jobs were looked at.
    """
    store = await service.store()
    wanted, asked = job_filter(where, who), accepts(where, service.views)
    cursor, seen = None, 0
    while seen < most:
        page = await store.page(wanted, limit=BATCH, cursor=cursor, accepts=asked)
        seen += max(len(page.jobs), 1)
        cursor = page.cursor
        yield list(page.jobs), cursor is not None
        if cursor is None:
            return


async def select(
    service: Service, ids: Sequence[str] | None, where: Where | None, who: Principal
) -> tuple[list[str], bool]:
    """The ids of the jobs that an act is about, and whether there may be more."""
    if ids is not None:
        store = await service.store()
        found = await store.get(list(dict.fromkeys(ids)))
        allowed = [job for job in found if job and who.user in (None, job.user)]
        return [job.id for job in allowed], False
    chosen: list[str] = []
    more = False
    # Read to the end first, so that what an act changes is not met again.
    async for jobs, more in scan(service, where or Where(), who, MOST):  # noqa: B007
        chosen += [job.id for job in jobs]
    return chosen, more


async def act(store: JobStore, action: Act, ids: Sequence[str], by: str) -> AsyncIterator[int]:
    """Do it to these jobs; how many were changed, batch after batch."""
    for start in range(0, len(ids), BATCH):
        verdicts = await _call(store, action, ids[start : start + BATCH], by)
        yield sum(one in (Verdict.APPLIED, Verdict.REQUESTED) for one in verdicts)


async def _call(store: JobStore, action: Act, ids: Sequence[str], by: str) -> list[Any]:
    match action:
        case "cancel":
            return list(await store.cancel(ids, by=by))
        case "retry":
            return list(await store.retry(ids, by=by))
        case "discard":
            return list(await store.discard(ids))
