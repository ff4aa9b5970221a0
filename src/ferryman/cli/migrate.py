"""`ferryman migrate`: bring the database's tables up to this release."""

import typer

from ferryman.cli.invocation import STORE, Invocation, command
from ferryman.client.checkup import store_url
from ferryman.stores import embedded_database_url

group = typer.Typer()


@command(group, "migrate", STORE)
def migrate(call: Invocation) -> None:
    """Bring the database's tables up to this release.

    Creates them where there are none. Safe to repeat, and while workers run. On Valkey there
    is nothing to do.
    """
    settings = call.settings
    if settings.valkey_url and not settings.database_url:
        call.output.answer({"migrated": None}, lambda: "nothing to do: Valkey has no tables")
        return
    from ferryman.stores.sql.migrations import upgrade

    upgrade(settings.database_url or embedded_database_url())
    url = store_url(settings)
    call.output.answer({"migrated": url}, lambda: f"the tables are up to date: {url}")
