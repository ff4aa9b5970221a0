"""What several routes take: the service, the caller, a job's id, a page, a filter."""

from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import AwareDatetime

from ferryman.domain.states import JobState
from ferryman.http.auth import needs, needs_sight
from ferryman.http.bodies import Where
from ferryman.http.principal import Principal, Scope
from ferryman.http.service import Service, service_of

NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"

Served = Annotated[Service, Depends(service_of)]
Reader = Annotated[Principal, needs(Scope.READ)]
Enqueuer = Annotated[Principal, needs(Scope.ENQUEUE)]
Operator = Annotated[Principal, needs(Scope.OPERATE)]


async def _job_operator(who: Operator) -> Principal:
    needs_sight(who)
    return who


JobOperator = Annotated[Principal, Depends(_job_operator)]
"""Who acts on jobs sees them, and learns which there are."""

Admin = Annotated[Principal, needs(Scope.ADMIN)]
Anyone = Annotated[Principal, needs(*Scope)]

JobId = Annotated[str, Path(pattern=NAME)]
QueueName = Annotated[str, Path(pattern=NAME)]
Name = Annotated[str | None, Query(pattern=NAME)]
Text = Annotated[str | None, Query(min_length=1, max_length=256)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(min_length=1, max_length=1000)]


def where(
    state: Annotated[JobState | None, Query()] = None,
    task: Name = None,
    queue: Name = None,
    user: Text = None,
    tag: Name = None,
    text: Annotated[Text, Query(description="Occurs in the arguments as they are shown.")] = None,
    error: Annotated[Text, Query(description="The type of the latest failure.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Created from then on.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Created before.")] = None,
) -> Where:
    """Which jobs a request is about."""
    return Where(
        state=state,
        task=task,
        queue=queue,
        user=user,
        tag=tag,
        text=text,
        error=error,
        since=since,
        until=until,
    )


Filter = Annotated[Where, Depends(where)]
