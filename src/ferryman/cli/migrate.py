"""`ferryman migrate`: bring the database's tables up to this release."""

import typer

from ferryman.cli.invocation import Invocation, command
from ferryman.client.checkup import store_url
from ferryman.settings import Settings

group = typer.Typer()


@command(group, "migrate")
def migrate(call: Invocation) -> None:
    """Bring the database's tables up to this release.

    Creates them where there are none. Safe to repeat, and while workers run. On Valkey there
    is nothing to do.
    """
    settings = call.settings
    if settings.valkey_url and not settings.database_url:
        call.output.answer({"migrated": None}, lambda: "nothing to do: Valkey has no tables")
        return
    call.client.run(_migrate(settings))
    url = store_url(settings)
    call.output.answer({"migrated": url}, lambda: f"the tables are up to date: {url}")


async def _migrate(settings: Settings) -> None:
    from ferryman.stores.sql.store import SqlStore

    store = SqlStore(settings)
    try:
        await store.migrate()
    finally:
        await store.close()
