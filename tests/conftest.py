"""Servers that a test process starts once, what stores are copied from, and a clock."""

import contextlib
import gc
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hypothesis
import psycopg
import pytest

from tests import servers
from tests.backends import TEMPLATE, migrate
from tests.clock import FakeClock
from tests.proxy import Proxy

hypothesis.settings.register_profile(
    "any machine",
    hypothesis.settings.default,  # which differs where CI=true
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Let no garbage collection look again through all that was imported and collected."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def running(server: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The URL of a server; where its program is missing, skip, or fail in CI."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(server())
        except servers.Missing as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield url


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[str]:
    """The URL of a Valkey server."""
    with running(servers.valkey) as url:
        yield url


@pytest.fixture(scope="session")
def dead_lane() -> Iterator[str]:
    """The URL of a server that is not there, and that nobody can take the place of."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        yield f"redis://127.0.0.1:{taken.getsockname()[1]}/0"


@pytest.fixture
def lane_proxy(valkey_server: str) -> Iterator[Proxy]:
    """What stands between a store and its lane, and can be cut or stopped."""
    with Proxy(valkey_server) as proxy:
        yield proxy


@pytest.fixture
def dying_lane(lane_proxy: Proxy) -> Iterator[str]:
    """The URL of a server that dies, comes back empty or not, and dies again."""
    with lane_proxy.flapping(up=0.03, down=0.03):
        yield lane_proxy.url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis server."""
    with running(servers.redis) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, with `{database}` to fill in."""
    with running(servers.postgresql) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> str:
    """A PostgreSQL server that has a migrated database to copy."""
    with psycopg.connect(
        postgresql_server.format(database="postgres"), autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate(postgresql_server.format(database=TEMPLATE))
    return postgresql_server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the stores in this test."""
    return FakeClock()
