"""The path by which a child process can import an application that is already here."""

import sys
from pathlib import Path
from types import ModuleType

from ferryman.client.client import Client


def locate_app(client: Client) -> str | None:
    """What `load_client` takes in another process to get `client`; `None` if no module holds it."""
    homes = {task.function.__module__ for task in client.tasks.values() if task.function}
    for name in sorted(homes):
        module = sys.modules.get(name)
        if module is None:
            continue
        for attribute, value in vars(module).items():
            if value is client:
                return _path_of(module, attribute)
    return None


def _path_of(module: ModuleType, attribute: str) -> str | None:
    if module.__name__ != "__main__":
        return f"{module.__name__}:{attribute}"
    if module.__spec__ is not None:  # python -m
        return f"{module.__spec__.name}:{attribute}"
    file = getattr(module, "__file__", None)
    return f"{Path(file).resolve()}:{attribute}" if file else None
