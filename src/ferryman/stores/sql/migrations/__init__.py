"""Migrations: the steps that bring a database's tables up to this release.

They only go forward. A step must leave the tables usable by the release before it, so that
workers of both run side by side while an application is deployed.
"""

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from ferryman.stores.sql.engine import kind_of, parse_url, prepare_sqlite

_LOCK: Final = 0x6665727279  # "ferry" as a number, for PostgreSQL's advisory lock

_one_at_a_time = threading.Lock()  # Alembic keeps the migration at work in global variables


def configuration() -> Config:
    """Alembic's configuration, for which no file is needed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def upgrade(database_url: str) -> None:
    """Bring the tables up to date, or make them; other processes that try wait their turn.

    Raises:
        ConfigError: not the URL of a database that this store supports.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be reached, or refuses.
    """
    url = parse_url(database_url)
    engine = _postgresql(url) if kind_of(url) == "postgresql" else _sqlite(url)
    try:
        with _one_at_a_time, engine.begin() as connection:
            config = configuration()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _postgresql(url: URL) -> Engine:
    engine = create_engine(url)

    @event.listens_for(engine, "begin")
    def _lock(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})

    return engine


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url.set(drivername="sqlite"))
    event.listen(engine, "connect", prepare_sqlite)

    @event.listens_for(engine, "begin")
    def _lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
