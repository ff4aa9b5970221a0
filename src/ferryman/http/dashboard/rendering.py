"""Pages out of templates, and the headers that keep a browser from doing more than they say."""

import functools
import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ferryman.http.dashboard import phrases
from ferryman.http.dashboard.notes import note, took
from ferryman.http.principal import Principal, Scope

STATIC: Final = Path(__file__).parent / "static"

HEADERS: Final = {
    # No inline script or style, nothing from elsewhere, in nobody's frame.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}

PAGES: Final = (
    ("", "Overview"),
    ("jobs", "Jobs"),
    ("dead-letters", "Dead letters"),
    ("queues", "Queues"),
    ("workers", "Workers"),
    ("actions", "Actions"),
)

_environment: Final = Environment(
    loader=PackageLoader("ferryman.http.dashboard"),
    autoescape=True,  # everywhere, whatever a template is called
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "clock": phrases.clock,
    "counted": phrases.counted,
    "distance": phrases.distance,
    "exact": phrases.exact,
    "note": note,
    "number": phrases.number,
    "plain": lambda value: f"{value:,.10g}",
    "sentence": phrases.sentence,
    "share": phrases.share,
    "size": phrases.size,
    "span": phrases.span,
    "took": took,
}


class Visitor:
    """Who looks, as the templates ask about it."""

    def __init__(self, who: Principal) -> None:
        self.name = who.name
        self.signed_in = bool(who.key_id)
        self.may_operate = who.may(Scope.OPERATE)
        self.sees_all = who.user is None


class Notice:
    """A line above a page, or about a job: what is so, and what it means.

    Args:
        level: `"bad"`, `"warn"`, `"good"` or `""`.
    """

    def __init__(self, what: str, means: str = "", level: str = "") -> None:
        self.what = what
        self.means = means
        self.level = level


def address(request: Request, path: str = "", query: Mapping[str, str] | None = None) -> str:
    """The address of one of our pages, wherever the service is mounted."""
    base = request.scope.get("root_path", "").rstrip("/")
    asked = "?" + urlencode(query) if query else ""
    return f"{quote(base)}/{quote(path)}{asked}"


def page(
    request: Request,
    who: Principal | None,
    template: str,
    *,
    status: int = 200,
    every: int = 0,
    **values: Any,
) -> Response:
    """A page.

    Args:
        who: looks at it; `None` is: someone who is not signed in.
        every: seconds after which it refreshes itself; 0 is: never.
        values: what its template needs.
    """
    url = functools.partial(address, request)
    here = request.url.path.removeprefix(url()).partition("/")[0]
    context = {
        "url": url,
        "asset": lambda name: f"{url('static/' + name)}?v={_fingerprint(name)}",
        "who": who and Visitor(who),
        "pages": PAGES,
        "here": here,
        "version": _version(),
        "live": _own_address(request) if every else "",
        "every": every,
        "stream": "",
        "warnings": (),
        "done": "",
        **values,
    }
    return HTMLResponse(_environment.get_template(template).render(context), status, HEADERS)


def elsewhere(request: Request, path: str = "", query: Mapping[str, str] | None = None) -> Response:
    """On to another of our pages, after a write."""
    return RedirectResponse(address(request, path, query), 303, HEADERS)


def _own_address(request: Request) -> str:
    query = request.url.query
    return quote(request.url.path) + (f"?{query}" if query else "")


@functools.cache
def _fingerprint(name: str) -> str:
    """Changes with the file, so that no browser uses an old one."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


@functools.cache
def _version() -> str:
    return importlib.metadata.version("ferryman")
