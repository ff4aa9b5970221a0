"""`ferryman serve`: the HTTP service, alone."""

import shlex
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ferryman.cli.invocation import CLIENT, Invocation, command
from ferryman.cli.output import print_json_line, printable
from ferryman.cli.worker import LogLevel
from ferryman.domain.errors import ConfigError
from ferryman.settings import PREFIX

group = typer.Typer()

PORT = 8321
MISSING = "the HTTP service is not installed: pip install 'ferryman[http]'"


@command(group, "serve", {name: kind for name, kind in CLIENT.items() if name != "app"})
def serve(
    call: Invocation,
    app: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:NAME]",
            envvar=f"{PREFIX}APP",
            show_envvar=False,
            show_default=False,
            help="The application, whose tasks can be asked for; else FERRYMAN_APP.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is: any that is free.")] = PORT,
    auth: Annotated[
        Literal["keys", "off"] | None,
        typer.Option(help="Ask for API keys? On this host alone: off, else keys."),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="With --auth off: answer everyone all the same.")
    ] = False,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Its pages may call the API. May be repeated."),
    ] = None,
    rate: Annotated[
        float, typer.Option(min=0, metavar="N", help="Requests a second of one key; 0: any.")
    ] = 100.0,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart when a source file changes.")
    ] = False,
    log_level: LogLevel = "warning",
) -> None:
    """Serve the HTTP API and the dashboard until told to stop.

    Without keys it answers this host alone. `ferryman keys create` makes one.
    """
    require_http()
    if reload:
        _serve_anew_at_each_change()
        return
    from ferryman.http.auth import is_loopback
    from ferryman.http.options import HttpOptions
    from ferryman.http.server import ServerOptions
    from ferryman.http.server import serve as run

    call.choose(app)
    options = HttpOptions(
        auth=auth or ("off" if is_loopback(host) else "keys"),
        insecure=insecure,
        cors=tuple(cors or ()),
        rate=rate,
        burst=max(1, int(rate * 2)),
    )

    def ready(url: str) -> None:
        _introduce(call, url, str(options.auth))

    run(call.client, options, ServerOptions(host=host, port=port, log_level=log_level), ready)


def require_http() -> None:
    """Refuse to go on without the service's libraries.

    Raises:
        ConfigError: they are not installed.
    """
    if not installed():
        raise ConfigError(MISSING)


def installed() -> bool:
    """Whether the service's libraries are there."""
    return all(find_spec(name) is not None for name in ("fastapi", "uvicorn", "prometheus_client"))


def _introduce(call: Invocation, url: str, auth: str) -> None:
    if call.output.json:
        print_json_line({"url": url, "auth": auth, "tasks": sorted(call.client.tasks)})
        return
    who = "keys are asked for" if auth == "keys" else "answers this host alone, without keys"
    for name, value in (("dashboard", url), ("API", f"{url}/api/v1"), ("access", who)):
        typer.echo(f"{typer.style(f'{name:>18}', dim=True)}  {printable(value)}")
    sys.stdout.flush()


def _serve_anew_at_each_change() -> None:
    """Run this very command, without `--reload`, until a source file changes; and again."""
    if find_spec("watchfiles") is None:
        raise ConfigError("--reload needs watchfiles: pip install 'ferryman[reload]'")
    import watchfiles

    again = [sys.executable, "-m", "ferryman", *_without_reload(sys.argv[1:])]
    watchfiles.run_process(
        Path.cwd(),
        target=shlex.join(again),
        target_type="command",
        watch_filter=watchfiles.PythonFilter(),
    )


def _without_reload(arguments: list[str]) -> list[str]:
    return [one for one in arguments if one != "--reload"]


def start_beside(app: str, port: int, *, reload: bool) -> "subprocess.Popen[Any]":
    """The service in a process of its own, on this host alone; whoever starts it says where."""
    command = [sys.executable, "-m", "ferryman", "serve", app, "--port", str(port)]
    return subprocess.Popen(
        [*command, *(["--reload"] if reload else [])], stdout=subprocess.DEVNULL
    )


def free_port(wanted: int, *, exactly: bool) -> int:
    """`wanted`, or another one if that is taken and need not be it.

    Raises:
        ConfigError: it is taken, and another will not do.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", wanted))
        except OSError:
            if exactly:
                raise ConfigError(f"port {wanted} is taken: choose another with --port") from None
            tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port
