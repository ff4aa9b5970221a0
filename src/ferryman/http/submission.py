"""Jobs that callers ask for, by HTTP or from a page: checked against their task, and submitted."""

import hashlib
from typing import Any, Final

import msgspec

from ferryman.client.arguments import Arguments
from ferryman.client.client import Client
from ferryman.client.task import Task
from ferryman.domain.errors import InvalidArguments, JobExists
from ferryman.domain.job import Job, NewJob
from ferryman.http.bodies import NewJobBody
from ferryman.http.principal import Principal, Scope
from ferryman.http.problems import Problem
from ferryman.masking import mask_text, secrets, unmask
from ferryman.stores import JobStore

KEYED: Final = "idem-"
"""How the ids of jobs begin that were asked for with an `Idempotency-Key`."""

TAKEN: Final = "the id, or the unique key, is taken: choose another"
"""What is said to whoever may not see the job that has it."""


def new_job(client: Client, name: str, body: NewJobBody, who: Principal, key: str = "") -> NewJob:
    """The request for a job that a store takes.

    Args:
        key: the request's `Idempotency-Key`; jobs that are asked for with the same one are one.

    Raises:
        UnknownTask: this service does not know the task's code.
        InvalidArguments: they do not fit the task.
        Problem: the caller may not, or the request contradicts itself.
    """
    task = known_task(client, name)
    if who.user is not None and body.user not in (None, who.user):
        raise Problem(403, "restricted-to-user", f"this key is for the jobs of user {who.user!r}")
    if key and body.id:
        raise Problem(
            422, "invalid-request", "an id makes a request repeatable: leave Idempotency-Key out"
        )
    if body.id is not None and body.id.startswith(KEYED):
        raise Problem(
            422,
            "invalid-request",
            f"ids that begin with {KEYED!r} are made of an Idempotency-Key: choose another",
        )
    options = {
        field: getattr(body, field)
        for field in NewJobBody.__struct_fields__
        if field not in ("arguments", "id", "user")
    }
    id = _id_of(who, name, key) if key else body.id
    chosen = task.using(id=id, user=body.user or who.user, **options)
    assert task.signature is not None  # noqa: S101 - narrows the type
    args, kwargs = task.signature.spread(body.arguments)
    return chosen.new_job(args, kwargs)


def known_task(client: Client, name: str) -> Task[Any, Any]:
    """The task of this name, whose code this service knows.

    Raises:
        UnknownTask: there is none.
    """
    return client.lookup(name)


def _id_of(who: Principal, task: str, key: str) -> str:
    """The id of the job that a caller asks for with this key: always the same one.

    A host's own callers have no API key, and are told apart by their names.
    """
    said = msgspec.json.encode((who.key_id, who.name, who.user, task, key))
    return f"{KEYED}{hashlib.sha256(said).hexdigest()[:40]}"


async def submit(
    store: JobStore, jobs: list[NewJob], who: Principal, *, keyed: bool = False
) -> list[tuple[Job, bool]]:
    """Take jobs in; each as it is then, and whether it is new.

    Args:
        keyed: the ids stand for an `Idempotency-Key`.

    Raises:
        JobExists: a unique key is held.
        Problem: an id that was met belongs to another request (422) or to another user (409); a
            unique key is held by a job that the caller may not see (409).
    """
    try:
        submitted = await store.submit(jobs)
    except JobExists as error:
        [holder] = await store.get([error.job_id])
        if holder is not None and who.may(Scope.READ) and who.user in (None, holder.user):
            raise
        raise Problem(409, "job-exists", TAKEN) from None
    found = await store.get([one.job_id for one in submitted])
    answers: list[tuple[Job, bool]] = []
    for asked, taken, job in zip(jobs, submitted, found, strict=True):
        if job is None:  # ended and pruned within this moment
            raise Problem(
                503, "gone", f"job {taken.job_id} ended and was pruned at once", retry_after=1
            )
        if not taken.created:
            _check_met(asked, job, who, keyed)
        answers.append((job, taken.created))
    return answers


def _check_met(asked: NewJob, job: Job, who: Principal, keyed: bool) -> None:
    """Refuse to answer with a job that is not the one that was asked for."""
    if who.user not in (None, job.user):
        raise Problem(409, "job-exists", TAKEN)
    is_other = (job.task, job.args) != (asked.task, asked.args)
    is_same_key = keyed and job.id == asked.id
    if is_other and not is_same_key and not who.may(Scope.READ):  # it would see what it may not
        raise Problem(409, "job-exists", TAKEN)
    if is_other and is_same_key:
        raise Problem(
            422,
            "idempotency-key-reused",
            f"job {job.id} was asked for with this Idempotency-Key and other arguments: use a new "
            "key for a new request",
            job_id=job.id,
        )


def edited_arguments(client: Client, job: Job, arguments: dict[str, Any], was: Arguments) -> bytes:
    """The arguments of a job that is retried with others.

    Args:
        was: what was shown, and is stored.

    Raises:
        UnknownTask: as for `new_job`.
        InvalidArguments: as for `new_job`; or they hold a mask that stands for no one secret.
    """
    task = known_task(client, job.task)
    assert task.signature is not None  # noqa: S101 - narrows the type
    try:
        whole = unmask(arguments, was.shown or {}, was.stored or {})
    except RecursionError:
        raise InvalidArguments("arguments: they are nested too deep to be edited") from None
    try:
        args, kwargs = task.signature.spread(whole)
        return task.signature.encode(args, kwargs)
    except InvalidArguments as error:
        # It may repeat a value that was put in place of its mask.
        kind = task.signature.kind
        hidden = [secrets(value, kind(name), name) for name, value in whole.items()]
        raise InvalidArguments(mask_text(str(error), frozenset().union(*hidden))) from None
