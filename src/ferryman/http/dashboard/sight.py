"""What every page needs: the service, the views without secrets, who is looking, and its errors."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any, Final, cast
from urllib.parse import parse_qsl

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from ferryman.domain.errors import FerrymanError
from ferryman.domain.job import WorkerStatus
from ferryman.http.dashboard.phrases import counted
from ferryman.http.dashboard.rendering import Notice, address, elsewhere, page
from ferryman.http.principal import Principal
from ferryman.http.problems import Problem, problem_of
from ferryman.http.service import Service, service_of
from ferryman.stores import JobStore

EVERY: Final = 2
"""Seconds between two refreshes of a page."""

MOST_FIELDS: Final = 2000
"""Of one form: no page has as many boxes to tick."""

TITLES: Final = {
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    429: "Too many requests",
    503: "The store does not answer",
}


class Sight:
    """One request's way to what a page shows."""

    def __init__(self, request: Request, service: Annotated[Service, Depends(service_of)]) -> None:
        self.request = request
        self.service = service
        self.client = service.client
        self.views = service.views

    async def store(self) -> JobStore:
        """The open store."""
        return await self.service.store()

    async def form(self) -> list[tuple[str, str]]:
        """The fields of the form that was sent."""
        body = await self.request.body()
        try:
            text = body.decode("utf-8", "replace")
            return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError:
            raise Problem(
                413, "too-large", f"a form has at most {MOST_FIELDS} fields: choose fewer"
            ) from None

    def page(self, who: Principal | None, template: str, **values: Any) -> Response:
        """A page about this request."""
        return page(self.request, who, template, done=self._done(), **values)

    def elsewhere(self, path: str = "", **query: str) -> Response:
        """On to another page, after a write."""
        return elsewhere(self.request, path, query)

    def _done(self) -> str:
        """What was just done, as the address of the page says."""
        asked = self.request.query_params
        verb, number = asked.get("done", ""), asked.get("n", "")
        words = DONE.get(verb)
        if words is None or not (number.isascii() and number.isdigit() and len(number) < 12):
            return ""
        count = int(number)
        return words.format(jobs=f"{count:,} {'job' if count == 1 else 'jobs'}")


DONE: Final = {
    "cancel": "Cancelled, or asked to stop: {jobs}.",
    "retry": "Sent back to the queue: {jobs}.",
    "discard": "Discarded: {jobs}.",
    "pause": "The queue is paused.",
    "resume": "The queue goes on.",
    "purge": "Cancelled: {jobs}.",
}

Seen = Annotated[Sight, Depends(Sight)]


class PageRoute(APIRoute):
    """A route whose errors are pages, since a person is looking."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, with its errors as pages."""
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return refused(request, problem)
            except FerrymanError as error:
                return refused(request, problem_of(error))

        return shown


def refused(request: Request, problem: Problem) -> Response:
    """An error as a page; whoever is not known is led to the sign-in."""
    if problem.status == 401:
        here = request.url.path.removeprefix(address(request))
        wanted = f"{here}?{request.url.query}" if request.url.query else here
        return elsewhere(request, "sign-in", {"next": wanted} if wanted else None)
    return page(
        request,
        None,
        "problem.html",
        status=problem.status,
        what=TITLES.get(problem.status, "That cannot be done"),
        means=f"{problem.detail[:1].upper()}{problem.detail[1:]}.",
    )


def not_found(otherwise: Any) -> Any:
    """For paths that nothing is at: a page for a person, and what `otherwise` says for others."""

    async def answered(request: Request, error: Any) -> Response:
        below = request.url.path.removeprefix(address(request))
        if below.startswith("api/") or "text/html" not in request.headers.get("accept", ""):
            return cast(Response, await otherwise(request, error))
        means = "there is no such page; the overview leads to all that there are"
        return refused(request, Problem(404, "not-found", means))

    return answered


def lane_warnings(store: JobStore, workers: Sequence[WorkerStatus]) -> list[Notice]:
    """That the lane is down, as this process or workers see it."""
    live = [one for one in workers if one.live]
    blind = sum(one.degraded for one in live)
    if not blind and not store.degraded:
        return []
    who = f"{blind} of {counted(len(live), 'worker')}" if blind else "This service"
    means = (
        f"{who} cannot use Valkey, and goes on from the database: jobs start a little later, and "
        "nothing is lost. See that the Valkey server runs and can be reached."
    )
    return [Notice("Degraded: the lane is down.", means, "warn")]
