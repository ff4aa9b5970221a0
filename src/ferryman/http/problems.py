"""Errors as `application/problem+json` (RFC 9457)."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from ferryman.domain import errors
from ferryman.http.answers import NO_STORE, encode, nothing_yet

MEDIA_TYPE: Final = "application/problem+json"


class Problem(Exception):
    """An answer that is an error: raised anywhere below a route.

    Args:
        status: of the answer.
        kind: a short word for programs, which stays.
        detail: what was wrong, and what to do next.
        retry_after: seconds after which to try again.
        more: further members of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        retry_after: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.more = more

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": f"urn:ferryman:problem:{self.kind}",
            "title": self.kind.replace("-", " "),
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        headers = dict(NO_STORE)
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return Response(encode(body), self.status, headers, media_type=MEDIA_TYPE)


KINDS: Final[dict[type[errors.FerrymanError], tuple[int, str, float | None]]] = {
    errors.PayloadTooLarge: (413, "too-large", None),
    errors.InvalidArguments: (422, "invalid-arguments", None),
    errors.InvalidName: (422, "invalid-name", None),
    errors.ConfigError: (422, "invalid-request", None),
    errors.UnknownTask: (404, "unknown-task", None),
    errors.JobNotFound: (404, "job-not-found", None),
    errors.JobExists: (409, "job-exists", None),
    errors.IllegalTransition: (409, "illegal-transition", None),
    errors.StoreFull: (503, "store-full", 5.0),
    errors.StoreError: (503, "store-unavailable", 2.0),
}
"""Status, word, and the seconds after which to try again; the first that an error is, counts."""


def problem_of(error: errors.FerrymanError) -> Problem:
    """What an error of Ferryman is to a caller."""
    for kind, (status, word, after) in KINDS.items():
        if isinstance(error, kind):
            # A store's error may name its server, which is no caller's business.
            told = "the store cannot be reached at the moment: try again soon"
            detail = told if status == 503 and word == "store-unavailable" else str(error)
            more = {"job_id": error.job_id} if isinstance(error, errors.JobExists) else {}
            return Problem(status, word, detail, retry_after=after, **more)
    return Problem(500, "internal-error", "something went wrong here; the service's log has it")


def install(app: FastAPI) -> None:
    """Have every error of an application answered as a problem."""

    async def ours(connection: HTTPConnection, error: Any) -> Response | None:
        return await _refuse(connection, error)

    async def ferrymans(connection: HTTPConnection, error: Any) -> Response | None:
        return await _refuse(connection, problem_of(error))

    async def invalid(_: Request, error: Any) -> Response:
        places = [
            {"at": ".".join(map(str, one["loc"])), "problem": one["msg"]} for one in error.errors()
        ]
        said = "; ".join(f"{one['at']}: {one['problem']}" for one in places)
        return Problem(422, "invalid-request", said, errors=places).response()

    async def frameworks(_: Request, error: Any) -> Response:
        word = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "refused")
        told = {
            404: "there is nothing here: /api/v1/openapi.json lists what there is",
            405: f"this path does not take the method; it takes {_allowed(error)}",
        }
        problem = Problem(error.status_code, word, told.get(error.status_code, str(error.detail)))
        response = problem.response()
        response.headers.update(error.headers or {})
        return response

    async def gone(_: Request, __: Any) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    async def unexpected(_: Request, error: Any) -> Response:
        return problem_of(errors.FerrymanError(str(error))).response()

    handlers: dict[Any, Any] = {Problem: ours, errors.FerrymanError: ferrymans}
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, frameworks)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)


async def _refuse(connection: HTTPConnection, problem: Problem) -> Response | None:
    if isinstance(connection, WebSocket):
        await connection.send_denial_response(problem.response())
        return None
    endpoint = connection.scope.get("endpoint")
    if problem.status in (429, 503) and getattr(endpoint, "stream", False):
        return nothing_yet(problem.retry_after or 0.0)
    return problem.response()


def _allowed(error: Any) -> str:
    return str((error.headers or {}).get("Allow", "another"))
