"""Who is asking: the one seam through which every route learns it.

A route says which scope it needs: `who: Annotated[Principal, needs(Scope.READ)]`. What stands
behind `identify` is chosen once, by `create_app`.
"""

import ipaddress
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from ferryman.http.principal import Principal, Scope
from ferryman.http.problems import Problem
from ferryman.http.service import Service, service_of

F = TypeVar("F", bound=Callable[..., Any])

COOKIE: Final = "ferryman_session"
"""Holds the signed token of whoever signed in with a browser."""

LOCAL: Final = Principal(name="local", scopes=frozenset({Scope.ADMIN}))
"""Whoever asks where no key is asked for."""


async def identify() -> Principal:
    """Recognise whoever asks. `create_app` puts the chosen way in this one's place."""
    raise NotImplementedError


def needs(*scopes: Scope) -> Any:
    """A dependency that gives the `Principal`, and refuses whoever holds none of `scopes`."""

    async def check(
        who: Annotated[Principal, Depends(identify)],
        service: Annotated[Service, Depends(service_of)],
    ) -> Principal:
        service.rate.take(who.key_id or who.name)
        if not any(map(who.may, scopes)):
            wanted = " or ".join(scopes)
            raise Problem(
                403, "missing-scope", f"this needs the scope {wanted}: ask for another key"
            )
        return who

    check.scopes = scopes  # type: ignore[attr-defined]  # read by the test of all routes
    return Depends(check)


OPEN: Final[dict[str, Any]] = {"security": []}
"""What the OpenAPI document says of a route that is `public`."""


def public(endpoint: F) -> F:
    """Mark a route that asks nobody who they are; one without this mark and `needs` is a fault."""
    endpoint.public = True  # type: ignore[attr-defined]  # read by the test of all routes
    return endpoint


def never_refused(endpoint: F) -> F:
    """Mark a stream: where it cannot be had now, it is answered with when to come again."""
    endpoint.stream = True  # type: ignore[attr-defined]  # read by `problems`
    return endpoint


def needs_sight(who: Principal) -> None:
    """Refuse a key that may not read: the answer shows jobs, or tells which there are.

    Raises:
        Problem: 403.
    """
    if not who.may(Scope.READ):
        raise Problem(
            403,
            "missing-scope",
            "this shows jobs, and needs the scope read as well: ask for another key",
        )


def needs_all_users(who: Principal) -> None:
    """Refuse a key that is restricted to one user: the answer is about others, too.

    Raises:
        Problem: 403.
    """
    if who.user is not None:
        raise Problem(
            403, "restricted-to-user", "this key is for the jobs of one user; this is about all"
        )


async def by_key(
    connection: HTTPConnection, service: Annotated[Service, Depends(service_of)]
) -> Principal:
    """Whoever brings an API key, or a browser that signed in with one."""
    kind, _, key = connection.headers.get("authorization", "").partition(" ")
    who = None
    if kind.lower() == "bearer":
        who = await service.keyring.recognise(key.strip())
    elif not kind and (cookie := connection.cookies.get(COOKIE)):
        who = await service.session(cookie)
    if who is not None:
        return who
    host = connection.client.host if connection.client else ""
    service.refusals.take(host)
    what = "this key is not known, or not any more" if kind else "this needs an API key"
    raise Problem(
        401,
        "not-recognised",
        f"{what}: send `Authorization: Bearer fk_…`; `ferryman keys create` makes one",
    )


async def anyone_here(connection: HTTPConnection) -> Principal:
    """Whoever asks from this host, and not by way of a proxy or of a name that is not this host's.

    The last is how a page of another site can reach a service on a visitor's own machine: it has
    its own name resolved to 127.0.0.1.
    """
    client = connection.client.host if connection.client else ""
    name = connection.url.hostname or ""
    proxied = "x-forwarded-for" in connection.headers or "forwarded" in connection.headers
    if proxied or not is_loopback(client) or not is_loopback(name):
        raise Problem(
            403,
            "not-from-here",
            "without keys this service answers its own host alone, under a name such as "
            "localhost: have it ask for keys",
        )
    return LOCAL


async def anyone() -> Principal:
    """Whoever asks."""
    return LOCAL


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this host's own, as seen by itself alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
