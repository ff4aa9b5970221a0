"""From what a command line names (`app:app`, `shop.jobs`, `app.py`) to the application it means."""

import difflib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from ferryman.client.client import Client
from ferryman.domain.errors import ConfigError
from ferryman.settings import scrub


class BrokenApplication(ConfigError):
    """The application's own code failed while it was imported; its error is the cause."""

    @property
    def users_traceback(self) -> str:
        """What went wrong there, without the frames of the import machinery and of Ferryman."""
        cause = self.__cause__ or self
        frames = traceback.extract_tb(cause.__traceback__)
        theirs = [frame for frame in frames if not _is_machinery(frame.filename)]
        lines = traceback.format_list(theirs) + traceback.format_exception_only(cause)
        return "Traceback (most recent call last):\n" + "".join(lines)


def load_client(path: str) -> Client:
    """The application at `module:attribute`, `module`, `file.py` or `file.py:attribute`.

    Without an attribute the module must hold exactly one. Modules are looked for in the working
    directory first.

    Raises:
        ConfigError: nothing usable is there.
        BrokenApplication: its own code failed.
    """
    where, _, attribute = path.partition(":")
    if not where:
        raise ConfigError(f"{path!r} names no module: write module:attribute, for example app:app")
    module = _load_file(where) if where.endswith(".py") else _load_module(where)
    return _named(module, attribute) if attribute else _only(module)


def require_store(
    client: Client, path: str, database_url: str | None, valkey_url: str | None
) -> None:
    """Refuse an application that names another store in its code than was asked for.

    Raises:
        ConfigError: it does; the message names both.
    """
    for name, given in (("database_url", database_url), ("valkey_url", valkey_url)):
        used = getattr(client.settings, name)
        if given is not None and given != used:
            raise ConfigError(
                f"{path} names its store in code ({name}={scrub(used or 'None')}), and "
                f"--{name.replace('_', '-')} cannot change that: leave one of them out"
            )


def _load_file(where: str) -> ModuleType:
    file = Path(where).resolve()
    if not file.is_file():
        raise ConfigError(f"there is no file {where!r} in {Path.cwd()}")
    root, parts = file.parent, [file.stem]
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    module = _load_module(".".join(parts), root)
    if module.__file__ is None or not file.samefile(module.__file__):
        raise ConfigError(
            f"{where!r} cannot be imported: its name is taken by {module.__file__}; rename it"
        )
    return module


def _load_module(name: str, root: Path | None = None) -> ModuleType:
    root = root or Path.cwd()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    # Files written a moment ago (by a reload, or a generator) must be seen.
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(_not_found(name, error.name, root)) from None
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _not_found(name: str, missing: str, root: Path) -> str:
    message = f"there is no module {missing!r}: looked for {missing.replace('.', '/')}.py in {root}"
    if missing != name:
        message += f" (for {name!r})"
    here = [file.stem for file in root.glob("*.py")]
    if close := difflib.get_close_matches(name, here, 1):
        return f"{message}; did you mean {close[0]!r}?"
    return f"{message} and where Python looks; change to the folder that holds it"


def _broken(name: str, error: BaseException) -> BrokenApplication:
    return BrokenApplication(f"{name!r} could not be imported: {type(error).__name__}: {error}")


def _named(module: ModuleType, attribute: str) -> Client:
    value: Any = module
    for part in attribute.split("."):
        value = getattr(value, part, None)
    if isinstance(value, Client):
        return value
    what = "has no" if value is None else f"has a {type(value).__name__}, not a Ferryman, as"
    held = ", ".join(f"{module.__name__}:{name}" for name in _clients(module))
    found = f"it has {held}" if held else "it has none at all: write app = Ferryman()"
    raise ConfigError(f"module {module.__name__!r} {what} {attribute!r}; {found}")


def _only(module: ModuleType) -> Client:
    match _clients(module):
        case {**one} if len(one) == 1:
            [client] = one.values()
            return client
        case {**several} if several:
            choice = " or ".join(f"{module.__name__}:{name}" for name in several)
            raise ConfigError(
                f"module {module.__name__!r} holds several applications: say {choice}"
            )
        case _:
            raise ConfigError(
                f"module {module.__name__!r} holds no application: write app = Ferryman() in it"
            )


def _is_machinery(filename: str) -> bool:
    ours = str(Path(__file__).parents[1])
    return filename.startswith((ours, "<frozen importlib")) or "/importlib/" in filename


def _clients(module: ModuleType) -> dict[str, Client]:
    """The applications of a module, each under its first name."""
    held: dict[str, Client] = {}
    for name, value in vars(module).items():
        if isinstance(value, Client) and value not in held.values():
            held[name] = value
    return held
