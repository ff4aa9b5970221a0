"""Operators: the record of what they did, signing in and signing out."""

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.errors import ConfigError
from ferryman.http.api.parameters import Reader
from ferryman.http.auth import COOKIE, needs_all_users
from ferryman.http.dashboard.rendering import address
from ferryman.http.dashboard.sight import EVERY, PageRoute, Seen, Sight
from ferryman.http.principal import Scope
from ferryman.http.problems import Problem

router = APIRouter(route_class=PageRoute)

SESSION: Final = 8 * 3600
"""Seconds after which a browser has to sign in anew."""


@router.get("/actions")
async def list_actions(seen: Seen, who: Reader, cursor: str = "") -> Response:
    """What operators did, the latest first."""
    needs_all_users(who)
    store = await seen.store()
    try:
        found = await store.actions(limit=50, cursor=cursor or None)
    except ConfigError as error:
        raise Problem(422, "not-a-cursor", str(error)) from error
    return seen.page(
        who,
        "actions.html",
        every=0 if cursor else EVERY,
        actions=found.actions,
        next=found.cursor,
        now=await store.now(),
    )


@router.get("/sign-in")
async def ask_to_sign_in(seen: Seen, next: str = "") -> Response:
    """Ask for an API key."""
    return seen.page(None, "sign_in.html", next=next, wrong="")


@router.post("/sign-in")
async def sign_in(seen: Seen) -> Response:
    """Take an API key, and give a cookie in its place."""
    given = dict(await seen.form())
    who = await seen.service.keyring.recognise(given.get("key", "").strip())
    if who is None or not who.may(Scope.READ):
        client = seen.request.client
        seen.service.refusals.take(client.host if client else "")
        wrong = (
            "This key is not known, or not any more." if who is None else "This key may not read."
        )
        return seen.page(None, "sign_in.html", status=401, next=given.get("next", ""), wrong=wrong)
    answer = seen.elsewhere(_own(seen, given.get("next", "")))
    answer.set_cookie(
        COOKIE,
        seen.service.sessions.sign(who, SESSION),
        path=address(seen.request),
        max_age=SESSION,
        httponly=True,
        samesite="strict",
        secure=seen.request.url.scheme == "https",
    )
    return answer


def _own(seen: Sight, wanted: str) -> str:
    """The page that was asked for, by its path below ours; nothing else is gone to."""
    path = wanted.partition("?")[0]
    first = path.partition("/")[0]
    return path if first in ("jobs", "dead-letters", "queues", "workers", "actions") else ""


@router.post("/sign-out")
async def sign_out(seen: Seen) -> Response:
    """Forget the cookie."""
    answer = seen.elsewhere("sign-in")
    answer.delete_cookie(COOKIE, path=address(seen.request))
    return answer
