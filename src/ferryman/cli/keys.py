"""`ferryman keys`: make, list and revoke the API keys of the HTTP service."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ferryman.cli.invocation import Invocation, command
from ferryman.cli.serve import require_http
from ferryman.cli.values import parse_span
from ferryman.domain.errors import ConfigError
from ferryman.domain.operators import ApiKey

group = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")


@command(group, "create")
def create(
    call: Invocation,
    name: Annotated[str, typer.Argument(help="Whom or what it is for.", show_default=False)],
    scope: Annotated[
        list[str],
        typer.Option(metavar="SCOPE", help="read, enqueue, operate, admin. May be repeated."),
    ],
    user: Annotated[str | None, typer.Option(help="For the jobs of this user only.")] = None,
    expires: Annotated[
        Any, typer.Option(metavar="SPAN", parser=parse_span, help="12h, 30d: then it ends.")
    ] = None,
) -> None:
    """Make a key, and print it this once: only its hash is kept."""
    require_http()
    from ferryman.http.keyring import new_key

    ends = None if expires is None else datetime.now(UTC) + expires
    text, key = new_key(name, scope, user=user, expires_at=ends)
    kept = call.client.run(_add(call, key))
    call.output.answer({**_data(kept), "key": text}, lambda: text)
    call.output.note("this is the only time that it is shown")


@command(group, "list")
def list_keys(call: Invocation) -> None:
    """List the keys, revoked ones too."""
    keys = call.client.run(_all(call))

    def table() -> Any:
        from ferryman.cli.views import keys_table

        return keys_table(keys) if keys else "there is no key yet: `ferryman keys create`"

    call.output.answer({"keys": list(map(_data, keys))}, table)


@command(group, "revoke")
def revoke(
    call: Invocation,
    id: Annotated[str, typer.Argument(help="As `list` shows it.", show_default=False)],
) -> None:
    """Revoke a key: within a second it lets nobody in any more."""
    if not call.client.run(_revoke(call, id.removeprefix("fk_").partition("_")[0])):
        raise ConfigError(f"no key {id!r} that is not revoked already: see `ferryman keys list`")
    call.output.answer({"revoked": id}, lambda: f"revoked {id}")


async def _add(call: Invocation, key: ApiKey) -> ApiKey:
    return await (await call.client.store()).add_key(key)


async def _all(call: Invocation) -> list[ApiKey]:
    return await (await call.client.store()).keys()


async def _revoke(call: Invocation, id: str) -> bool:
    return await (await call.client.store()).revoke_key(id)


def _data(key: ApiKey) -> dict[str, Any]:
    fields = ("id", "name", "scopes", "user", "created_at", "expires_at", "revoked_at")
    return {name: getattr(key, name) for name in fields}
