"""From `module:attribute` to the application, and back."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from ferryman.client.client import Client
from ferryman.domain.errors import ConfigError


def load_app(path: str) -> Client:
    """Import the application that `path` names: `package.module:app` or `file.py:app`.

    The working directory is importable, as it is for `python -m`.

    Raises:
        ConfigError: `path` names no application; the message says which part is wrong.
        Exception: whatever the application's own code raises while it is imported.
    """
    module_name, colon, attribute = path.rpartition(":")
    if not (colon and module_name and attribute):
        raise ConfigError(f"{path!r} does not name an application: write module:attribute")
    working_directory = str(Path.cwd())
    if working_directory not in sys.path:
        sys.path.insert(0, working_directory)
    module = _import(module_name)
    found = getattr(module, attribute, None)
    if found is None:
        raise ConfigError(f"{module_name} has no {attribute!r}: name its Ferryman(...) object")
    if not isinstance(found, Client):
        raise ConfigError(f"{path} is a {type(found).__name__}, not a Ferryman application")
    return found


def _import(name: str) -> ModuleType:
    if name.endswith(".py"):
        return _import_file(Path(name))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only the path's own module is the caller's slip; one that it imports is its code's.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(
                f"there is no module {name!r} here: start in the directory that holds it"
            ) from None
        raise


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    # Its neighbours are importable for a script that is run, so they are here.
    sys.path.insert(0, str(path.parent.resolve()))
    name = f"ferryman_app_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # noqa: S101 - it is a .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def locate_app(client: Client) -> str | None:
    """The path by which another process can import `client`, if a module holds it."""
    homes = {task.function.__module__ for task in client.tasks.values() if task.function}
    for name in sorted(homes):
        module = sys.modules.get(name)
        for attribute, value in vars(module).items() if module else ():
            if value is client:
                return _path_of(name, module, attribute)
    return None


def _path_of(name: str, module: ModuleType | None, attribute: str) -> str | None:
    if name != "__main__":
        return f"{name}:{attribute}"
    spec = getattr(module, "__spec__", None)
    if spec is not None:
        return f"{spec.name}:{attribute}"
    file = getattr(module, "__file__", None)
    return f"{Path(file).resolve()}:{attribute}" if file else None
