"""Errors as `application/problem+json` (RFC 9457)."""

from typing import Any

from starlette.responses import Response

from ferryman.http.answers import encode


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
        headers = {"cache-control": "no-store"}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, round(self.retry_after)))
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return Response(encode(body), self.status, headers, media_type="application/problem+json")
