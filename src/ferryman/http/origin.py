"""Proof that a browser's write comes from our own pages.

The rule is that of F. Valsorda, "Cross-Site Request Forgery", 2025, as in Go's
`net/http.CrossOriginProtection`: a browser names where a request comes from, with `Sec-Fetch-Site`
or at least with `Origin`, and no page can change what it says. What names neither is no browser.
"""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ferryman.http.problems import Problem

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class SameOrigin:
    """Refuses what another site has a browser do: every write, and every WebSocket.

    Args:
        allowed: other origins whose pages may.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or answer in its place."""
        if scope["type"] == "lifespan" or self._passes(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "another origin"})
        else:
            problem = Problem(
                403,
                "cross-origin",
                "a page of another origin may not do this: use the service's own pages, or have "
                "its operator allow the origin",
            )
            await problem.response()(scope, receive, send)

    def _passes(self, scope: Any) -> bool:
        if scope["type"] == "http" and scope["method"] in SAFE:
            return True
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and origin in self._allowed:
            return True
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        return origin is None or urlsplit(origin).netloc == headers.get("host", origin)
