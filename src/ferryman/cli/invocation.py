"""One invocation of a command: the options that all commands share, and what they lead to."""

import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any, Concatenate, Final, ParamSpec

import msgspec
import typer

from ferryman.cli.output import Output
from ferryman.client.client import Client
from ferryman.client.loading import load_client, require_store
from ferryman.embedded import running_url
from ferryman.settings import EMBEDDED_DIR, PREFIX, Settings, load_settings

P = ParamSpec("P")

App = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:NAME",
        envvar=f"{PREFIX}APP",
        show_envvar=False,
        help="Whose store and tasks to use; else FERRYMAN_APP.",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="SQLite or PostgreSQL; else FERRYMAN_DATABASE_URL."),
]
ValkeyUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Valkey or Redis; else FERRYMAN_VALKEY_URL.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

Needs = dict[str, Any]
OUTPUT: Final[Needs] = {"json": Json}
STORE: Final[Needs] = {"database_url": DatabaseUrl, "valkey_url": ValkeyUrl, **OUTPUT}
CLIENT: Final[Needs] = {"app": App, **STORE}
"""What a command needs of the shared options: to print, to know the store, to reach it."""


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The values of the shared options; they may stand before or after the command's name."""

    app: str | None = None
    database_url: str | None = None
    valkey_url: str | None = None
    json: bool = False

    def over(self, other: "Common") -> "Common":
        """These values, and those of `other` where nothing was given here."""
        mine, others = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Common(**{name: mine[name] or others[name] for name in mine})


class Invocation:
    """What a command is given: the output to print to, and a client of the chosen store."""

    def __init__(self, common: Common) -> None:
        self.common = common
        self.output = Output(json=common.json)
        # Applications and worker processes read their settings from the environment, so this is
        # where an option must be to count for all of them alike.
        for variable, value in self._variables().items():
            os.environ[variable] = value

    def _variables(self) -> dict[str, str]:
        given = {"DATABASE_URL": self.common.database_url, "VALKEY_URL": self.common.valkey_url}
        return {PREFIX + name: value for name, value in given.items() if value is not None}

    @functools.cached_property
    def client(self) -> Client:
        """The chosen application, or a client without tasks; reaching no server yet.

        Raises:
            ConfigError: the application cannot be loaded, or the settings cannot be used.
        """
        app = self.common.app
        client = self._load(app) if app else Client(load_settings())
        if not client.settings.configured:
            self._mention_embedded_server()
        return client

    def choose(self, app: str | None) -> None:
        """Let the client be that application, where a command names one as its argument."""
        self.common = Common(app=app).over(self.common)

    @property
    def settings(self) -> Settings:
        """What options, environment and the chosen application say about the store."""
        return self.client.settings

    def _mention_embedded_server(self) -> None:
        """Jobs that are looked for here may be in the server that `ferryman dev --valkey` runs."""
        if EMBEDDED_DIR.is_dir() and (url := running_url()):
            self.output.note(
                "a Valkey server runs here, but no store is configured. To use it: "
                f"export {PREFIX}VALKEY_URL={url}"
            )

    def _load(self, path: str) -> Client:
        """The application at `path`, which must not name another store than the options do."""
        client = load_client(path)
        require_store(client, path, self.common.database_url, self.common.valkey_url)
        return client

    def close(self) -> None:
        """Let go of the client's connections, if there were any."""
        if "client" in self.__dict__:
            self.client.close()


def command(
    group: typer.Typer, name: str, needs: Needs = CLIENT
) -> Callable[[Callable[Concatenate[Invocation, P], None]], Callable[..., None]]:
    """Register a function as a command that also takes the shared options it `needs`."""

    def register(function: Callable[Concatenate[Invocation, P], None]) -> Callable[..., None]:
        def run(context: typer.Context, **given: Any) -> None:
            common = Common(**{option: given.pop(option) for option in needs})
            invocation = Invocation(common.over(context.obj))
            try:
                function(invocation, **given)  # type: ignore[call-arg]  # rebuilt from its signature
            finally:
                invocation.close()

        run.__doc__ = function.__doc__
        _sign(run, function, needs)
        group.command(name)(run)
        return run

    return register


def _sign(run: Any, function: Callable[..., None], needs: Needs) -> None:
    """Give `run` the signature of `function`, with the shared options for the invocation."""
    own = list(inspect.signature(function).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in own),
        *(
            inspect.Parameter(
                option, keyword, annotation=kind, default=False if kind is Json else None
            )
            for option, kind in needs.items()
        ),
    ]
    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
