"""What Ferryman is told from outside: one frozen object, built once, at the edge.

This is the only module that reads the environment. Order: an argument in code, then the
environment, then the default.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ferryman.domain.errors import ConfigError
from ferryman.domain.ids import check_name

PREFIX: Final = "FERRYMAN_"

EMBEDDED_DIR: Final = Path(".ferryman")
"""Where the embedded default keeps its files, below the working directory."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this process reaches its store, and the figures that all its workers share.

    Attributes:
        database_url: SQLite or PostgreSQL, as a SQLAlchemy URL.
        valkey_url: Valkey or Redis (`redis://`, `rediss://`, `unix://`).
        namespace: the prefix of every Valkey key, so that applications share a server.
        lease: seconds that a worker process holds its jobs without a renewal.
        sweep: seconds between two rounds of reaping, promoting and expiring.
        store_timeout: seconds that a single call to a server may take.
        dead_letter_ttl: seconds that a failed job is kept at least; `None` is: for ever.
        max_history: terminal jobs of one queue kept at most; `None` is: no limit by count.
    """

    database_url: str | None = None
    valkey_url: str | None = None
    namespace: str = "ferryman"
    lease: float = 10.0
    sweep: float = 1.0
    store_timeout: float = 10.0
    dead_letter_ttl: float | None = None
    max_history: int | None = None

    def __post_init__(self) -> None:
        check_name(self.namespace, "namespace")
        for name in ("lease", "sweep", "store_timeout"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be more than 0 seconds")
        if self.sweep > self.lease:
            raise ConfigError("sweep must not be longer than lease, or dead workers go unnoticed")

    @property
    def configured(self) -> bool:
        """Whether a store was named, or the embedded default is used."""
        return bool(self.database_url or self.valkey_url)


def load_settings(environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Settings from keyword arguments (`None` is: not given) over `FERRYMAN_*` variables.

    Raises:
        ConfigError: a value that does not fit; the message names its variable.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    if unknown := given.keys() - Settings.__struct_fields__:
        known = ", ".join(Settings.__struct_fields__)
        raise ConfigError(f"there is no setting {', '.join(unknown)}; the settings are: {known}")
    for field in msgspec.structs.fields(Settings):
        variable = PREFIX + field.name.upper()
        if given.get(field.name) is not None:
            values[field.name] = given[field.name]
        elif environment.get(variable):
            values[field.name] = _converted(environment[variable], field.type, variable)
    return Settings(**values)


def _converted(text: str, kind: Any, variable: str) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{variable}={text!r}: {error}") from error


def scrub(url: str) -> str:
    """`url` with its password replaced, for messages and logs."""
    head, at, tail = url.rpartition("@")
    if not at or ":" not in head.partition("://")[2]:
        return url
    return f"{head.rpartition(':')[0]}:***@{tail}"
