"""What callers send: read, checked and typed."""

from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from starlette.requests import Request

from ferryman.domain.errors import FerrymanError
from ferryman.domain.ids import check_key
from ferryman.domain.policy import MAX_DELAY, RetryPolicy
from ferryman.domain.priority import LIMIT
from ferryman.domain.states import JobState
from ferryman.http.principal import Scope
from ferryman.http.problems import Problem, problem_of

T = TypeVar("T")

MOST_JOBS: Final = 1000
"""Jobs that one request may name or bring."""

Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""A job's id, a queue, a task, a tag."""
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""A unique key, a user: printable text."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_DELAY)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Priority = (
    Annotated[int, msgspec.Meta(ge=-LIMIT, le=LIMIT)] | Literal["urgent", "high", "normal", "low"]
)


class NewJobBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for one job; all but the arguments has the task's own as its default.

    Attributes:
        arguments: by name.
        id: a second job of the same id is the same job.
        delay: seconds until it is due. `run_at`: the moment instead.
        expires_in: seconds after which it is never started any more.
        unique: no second live job of this key in the queue; `on_conflict` says whether a second
            one is refused (409), or answered with the live one (200).
        user: on whose behalf.
        timeout: seconds that one attempt may take.
        result_ttl: seconds that the succeeded job is kept.
    """

    arguments: dict[str, Any] = {}
    id: Name | None = None
    queue: Name | None = None
    priority: Priority | None = None
    delay: Seconds = 0.0
    run_at: Moment | None = None
    expires_in: Seconds | None = None
    unique: Key | None = None
    on_conflict: Literal["refuse", "return"] = "refuse"
    user: Key | None = None
    tags: Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)] = ()
    retry: RetryPolicy | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0, le=MAX_DELAY)] | None = None
    result_ttl: Seconds | None = None


class BatchedJob(NewJobBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for one job of any task."""

    task: str


class BatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests for many jobs, which are taken in together, in this order."""

    jobs: Annotated[tuple[BatchedJob, ...], msgspec.Meta(min_length=1, max_length=MOST_JOBS)]


class RetryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a job is retried; with other arguments, where any are given.

    An argument that was shown as `***` and is sent back so keeps its value. A `***` elsewhere is
    refused, and so is one in a list that was changed so that it may stand for several.
    """

    arguments: dict[str, Any] | None = None


class Where(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs: those that match all that is given. Moments are of creation.

    Attributes:
        text: occurs in the arguments as they are shown, which is as JSON and without secrets.
        error: the type of the latest failure; the reason where a job failed without one.
    """

    state: JobState | None = None
    task: Name | None = None
    queue: Name | None = None
    user: Key | None = None
    tag: Name | None = None
    text: Key | None = None
    error: Key | None = None
    since: Moment | None = None
    until: Moment | None = None

    def __post_init__(self) -> None:
        for value, what in ((self.user, "user"), (self.text, "text"), (self.error, "error")):
            if value is not None:
                check_key(value, what)


class BulkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with many jobs: those of `ids`, or all that match `where`.

    Attributes:
        dry_run: only count them.
    """

    action: Literal["cancel", "retry", "discard"]
    ids: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_JOBS)] | None = None
    where: Where | None = None
    dry_run: bool = False


class NewKeyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for an API key.

    Attributes:
        name: whom or what it is for.
        user: it is for the jobs of this user only.
        expires_in: seconds after which it lets nobody in.
    """

    name: Key
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    user: Key | None = None
    expires_in: Seconds | None = None


class StreamBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a browser shall be able to follow: one job, or the jobs that match all that is given.

    Attributes:
        expires_in: seconds within which the stream may be opened (or opened again).
    """

    job_id: Name | None = None
    user: Key | None = None
    queue: Name | None = None
    task: Name | None = None
    expires_in: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 600.0


class Body(Generic[T]):
    """Reads bodies of one kind."""

    def __init__(self, kind: type[T]) -> None:
        self._decode = msgspec.json.Decoder(kind).decode

    async def read(self, request: Request) -> T:
        """The body of a request.

        Raises:
            Problem: it is not JSON (400, 415), or does not fit (422).
        """
        content = await request.body()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "not-json", "send `Content-Type: application/json`")
        try:
            return self._decode(content)
        except msgspec.ValidationError as error:
            raise Problem(422, "invalid-request", f"the body does not fit: {error}") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Problem(400, "malformed", f"the body is not JSON: {error}") from None
        except FerrymanError as error:
            raise problem_of(error) from None

    async def read_or(self, request: Request, default: T) -> T:
        """The body of a request, or `default` where there is none."""
        return await self.read(request) if await request.body() else default
