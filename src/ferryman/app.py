"""The application object that users hold: a client that can also run its own jobs."""

from typing import Any

from ferryman.client.client import Client
from ferryman.settings import load_settings


class Ferryman(Client):
    """The jobs of one application: `app = Ferryman()`.

    What is not given here is read from the environment (`FERRYMAN_DATABASE_URL`,
    `FERRYMAN_VALKEY_URL`, …); where that names no store either, jobs are kept in a SQLite file
    below the working directory.

    Args:
        database_url: SQLite or PostgreSQL, as a SQLAlchemy URL.
        valkey_url: Valkey or Redis (`redis://`, `rediss://`, `unix://`).
        settings: any other field of `ferryman.settings.Settings`.

    Raises:
        ConfigError: settings that contradict each other or cannot be used.
    """

    def __init__(
        self, database_url: str | None = None, valkey_url: str | None = None, **settings: Any
    ) -> None:
        super().__init__(
            load_settings(database_url=database_url, valkey_url=valkey_url, **settings)
        )
