"""Actions: what operators did."""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from ferryman.domain.operators import OperatorAction
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Cursor, Limit, Reader, Served
from ferryman.http.auth import needs_all_users
from ferryman.http.documents import says

router = APIRouter(tags=["operators"])


class ActionList(msgspec.Struct, frozen=True):
    """What operators did, the latest first; `cursor` asks for the next page."""

    actions: tuple[OperatorAction, ...]
    cursor: str | None


@router.get("/actions", **says(ActionList))
async def list_actions(
    service: Served, who: Reader, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Who cancelled, retried, discarded, paused, resumed and purged what, and when."""
    needs_all_users(who)
    store = await service.store()
    page = await store.actions(limit=limit, cursor=cursor)
    return answer(ActionList(page.actions, page.cursor))
