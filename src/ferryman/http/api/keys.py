"""Keys: made, listed and revoked."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from ferryman.domain.operators import ApiKey
from ferryman.http.answers import answer
from ferryman.http.api.parameters import Admin, Served
from ferryman.http.auth import needs_all_users
from ferryman.http.bodies import Body, NewKeyBody
from ferryman.http.documents import says, takes
from ferryman.http.keyring import new_key
from ferryman.http.problems import Problem

router = APIRouter(tags=["operators"])

_new = Body(NewKeyBody)


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without what proves it; `prefix` is how it begins."""

    id: str
    prefix: str
    name: str
    scopes: tuple[str, ...]
    user: str | None
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyList(msgspec.Struct, frozen=True):
    """API keys, in the order in which they were made."""

    keys: tuple[KeyView, ...]


class NewKey(KeyView, frozen=True, kw_only=True):
    """A new API key; `key` is shown this once."""

    key: str


def key_view(key: ApiKey) -> KeyView:
    """A key as it is shown."""
    return KeyView(**_fields(key))


def _fields(key: ApiKey) -> dict[str, Any]:
    fields = {name: getattr(key, name) for name in KeyView.__struct_fields__ if name != "prefix"}
    return {**fields, "prefix": f"fk_{key.id}_"}


@router.get("/keys", **says(KeyList))
async def list_keys(service: Served, who: Admin) -> Response:
    """Every API key, revoked ones too."""
    needs_all_users(who)
    store = await service.store()
    return answer(KeyList(tuple(map(key_view, await store.keys()))))


@router.post("/keys", **says(NewKey, 400, 413, 415, status=201), openapi_extra=takes(NewKeyBody))
async def create_key(request: Request, service: Served, who: Admin) -> Response:
    """Make an API key. It is shown this once, and kept as a hash."""
    needs_all_users(who)
    body = await _new.read(request)
    ends = None
    if body.expires_in is not None:
        ends = datetime.now(UTC) + timedelta(seconds=body.expires_in)
    text, key = new_key(
        body.name,
        body.scopes,
        user=body.user,
        expires_at=ends,
    )
    store = await service.store()
    kept = await store.add_key(key)
    await service.record(who, "create key", kept.id, kept.name)
    return answer(NewKey(**_fields(kept), key=text), 201)


@router.delete("/keys/{key_id}", **says(None, 404, status=204))
async def revoke_key(
    service: Served, who: Admin, key_id: Annotated[str, Path(pattern="^[a-z0-9]{12}$")]
) -> Response:
    """Revoke an API key; within a second it lets nobody in any more."""
    needs_all_users(who)
    store = await service.store()
    if not await store.revoke_key(key_id):
        raise Problem(404, "key-not-found", f"no key {key_id!r} that is not revoked already")
    service.keyring.forget(key_id)
    await service.record(who, "revoke key", key_id)
    return Response(status_code=204)
