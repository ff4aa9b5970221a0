"""Which database URLs are understood, and what is said of the others."""

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from ferryman.domain.errors import ConfigError
from ferryman.stores.sql.engine import parse_url
from ferryman.stores.sql.faults import shown


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("sqlite:///jobs.db", "sqlite+aiosqlite:///jobs.db"),
        ("sqlite:////srv/jobs.db", "sqlite+aiosqlite:////srv/jobs.db"),
        ("sqlite+pysqlite:///jobs.db", "sqlite+aiosqlite:///jobs.db"),
        ("postgresql://me@host/db", "postgresql+psycopg://me@host/db"),
        ("postgres://me@host/db", "postgresql+psycopg://me@host/db"),
        ("postgresql+asyncpg://me@host/db", "postgresql+psycopg://me@host/db"),
        ("postgresql+psycopg2://me@host/db?sslmode=require",
         "postgresql+psycopg://me@host/db?sslmode=require"),
    ],
)  # fmt: skip
def test_a_url_gets_the_driver_of_this_store(given: str, parsed: str) -> None:
    assert str(parse_url(given)) == parsed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://me@host/db", "mysql is not supported"),
        ("jobs.db", "cannot be read"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:jobs?mode=memory&uri=true", "in memory"),
    ],
)
def test_a_url_that_cannot_be_used_is_explained(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_url(given)


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without_psycopg(name: str, *more: Any) -> Any:
        return None if name == "psycopg" else find_spec(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without_psycopg)
    with pytest.raises(ConfigError, match=r"pip install 'ferryman\[postgres\]'"):
        parse_url("postgresql://me@host/db")
    parse_url("sqlite:///jobs.db")


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:geheim@host/db", "postgresql://host/db?user=me&password=geheim&sslmode=on"],
)
def test_passwords_are_not_shown(url: str) -> None:
    assert "geheim" not in shown(parse_url(url))
    assert "host/db" in shown(parse_url(url))


def _output(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_protocol_needs_no_database_library() -> None:
    code = (
        "import sys, ferryman.stores.base, ferryman.stores;"
        "print([m for m in ('sqlalchemy', 'alembic', 'aiosqlite', 'psycopg') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def test_alembic_is_not_imported_to_open_a_store() -> None:
    code = "import sys, ferryman.stores.sql.store; print('alembic' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"
