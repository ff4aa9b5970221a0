"""What Ferryman is told from outside: one frozen object, built once, at the edge.

This is the only module that reads the environment. Order: an argument in code, then the
environment, then the default.
"""

import math
import os
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ferryman.domain.errors import ConfigError, InvalidName
from ferryman.domain.ids import check_name

PREFIX: Final = "FERRYMAN_"

ALLOWABLE: Final = frozenset({"eviction", "no-aof", "no-fsync", "async-commit"})
"""What `allow` may name."""

LEAST_SECRET: Final = 32

EMBEDDED_DIR: Final = Path(".ferryman")
"""Where the embedded default keeps its files, below the working directory."""


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _named(name: str) -> str:
    return f"{name} ({_variable(name)})"


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
        linger: seconds that the ending of a job waits for others to share a statement of the
            database with.
        allow: settings of a server to put up with although they break a promise: `eviction`
            (Valkey deletes jobs when memory is short), `no-aof` (Valkey forgets jobs when it is
            restarted), `no-fsync` and `async-commit` (PostgreSQL acknowledges what a crash may
            lose). Names between commas in the environment.
        secret: signs what browsers hold of the HTTP service (a sign-in, the address of a stream);
            32 characters or more. Without one each process has its own, and what it signed ends
            with it.
    """

    database_url: str | None = None
    valkey_url: str | None = None
    namespace: str = "ferryman"
    lease: float = 10.0
    sweep: float = 1.0
    store_timeout: float = 10.0
    dead_letter_ttl: float | None = None
    max_history: int | None = None
    linger: float = 0.002
    allow: tuple[str, ...] = ()
    secret: str | None = None

    def __post_init__(self) -> None:
        try:
            check_name(self.namespace, _named("namespace"))
        except InvalidName as error:
            raise ConfigError(str(error)) from None
        # Written so that NaN, which is neither more nor less than anything, does not slip through.
        for name in ("lease", "sweep", "store_timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{_named(name)} must be more than 0 seconds, and finite")
        for name in ("dead_letter_ttl", "max_history"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"{_named(name)} must be 0 or more, and finite")
        if unknown := set(self.allow) - ALLOWABLE:
            known = ", ".join(sorted(ALLOWABLE))
            raise ConfigError(f"{_named('allow')} knows {known}, and not {', '.join(unknown)}")
        if self.secret is not None and len(self.secret) < LEAST_SECRET:
            raise ConfigError(f"{_named('secret')} must have {LEAST_SECRET} characters or more")
        if not 0 <= self.linger <= self.lease / 10:
            raise ConfigError(f"{_named('linger')} must lie between 0 and a tenth of the lease")
        if self.sweep > self.lease:
            raise ConfigError(
                f"{_named('sweep')} must not be longer than {_named('lease')}, "
                "or dead workers go unnoticed"
            )

    @property
    def configured(self) -> bool:
        """Whether a store was named, or the embedded default is used."""
        return bool(self.database_url or self.valkey_url)


def embedded_database_url() -> str:
    """The SQLite file that is used where no store is configured."""
    return f"sqlite:///{EMBEDDED_DIR / 'ferryman.db'}"


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
        variable = _variable(field.name)
        if given.get(field.name) is not None:
            values[field.name] = given[field.name]
        elif environment.get(variable):
            values[field.name] = _converted(environment[variable], field.type, variable)
    return Settings(**values)


def _converted(text: str, kind: Any, variable: str) -> Any:
    if typing.get_origin(kind) is tuple:
        return tuple(name for part in text.split(",") if (name := part.strip()))
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{variable}={text!r}: {error}") from error


def scrub(url: str) -> str:
    """`url` with its password replaced, for messages and logs."""
    # Up to the last "@": a password that was not quoted may hold one, and none may be shown.
    url = re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&]\w*password)=[^&]*", r"\1=***", url)
