"""Settings from code and environment, and what messages may show of them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryman.domain.errors import ConfigError
from ferryman.settings import Settings, load_settings, scrub

VARIABLES = {
    "FERRYMAN_DATABASE_URL": ("sqlite:///x.db", "database_url", "sqlite:///x.db"),
    "FERRYMAN_VALKEY_URL": ("redis://h/1", "valkey_url", "redis://h/1"),
    "FERRYMAN_NAMESPACE": ("shop", "namespace", "shop"),
    "FERRYMAN_LEASE": ("30", "lease", 30.0),
    "FERRYMAN_SWEEP": ("0.5", "sweep", 0.5),
    "FERRYMAN_STORE_TIMEOUT": ("3.5", "store_timeout", 3.5),
    "FERRYMAN_DEAD_LETTER_TTL": ("86400", "dead_letter_ttl", 86400.0),
    "FERRYMAN_MAX_HISTORY": ("1000", "max_history", 1000),
    "FERRYMAN_LINGER": ("0.01", "linger", 0.01),
    "FERRYMAN_SECRET": ("s" * 32, "secret", "s" * 32),
    "FERRYMAN_ALLOW": ("eviction,async-commit", "allow", ("eviction", "async-commit")),
}


def test_every_setting_has_its_variable() -> None:
    names = {field for _, field, _ in VARIABLES.values()}
    assert names == {field.name for field in msgspec.structs.fields(Settings)}


@pytest.mark.parametrize("variable", list(VARIABLES))
def test_a_variable_is_read(variable: str) -> None:
    text, field, expected = VARIABLES[variable]
    settings = load_settings({variable: text})
    assert getattr(settings, field) == expected
    assert type(getattr(settings, field)) is type(expected)
    assert settings == msgspec.structs.replace(Settings(), **{field: expected})


def test_without_anything_come_the_defaults() -> None:
    settings = load_settings({})
    assert settings == Settings()
    assert not settings.configured


def test_an_empty_variable_is_none() -> None:
    assert load_settings({"FERRYMAN_DATABASE_URL": "", "FERRYMAN_LEASE": ""}) == Settings()


def test_code_comes_before_the_environment() -> None:
    environment = {"FERRYMAN_LEASE": "30", "FERRYMAN_SWEEP": "2"}
    settings = load_settings(environment, lease=20.0, sweep=None)
    assert (settings.lease, settings.sweep) == (20.0, 2.0)


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRYMAN_VALKEY_URL", "redis://here")
    settings = load_settings()
    assert settings.valkey_url == "redis://here"
    assert settings.configured


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FERRYMAN_LEASE", "ten"),
        ("FERRYMAN_LEASE", "0"),
        ("FERRYMAN_LEASE", "-1"),
        ("FERRYMAN_LEASE", "nan"),
        ("FERRYMAN_LEASE", "inf"),
        ("FERRYMAN_SWEEP", "0"),
        ("FERRYMAN_SWEEP", "60"),
        ("FERRYMAN_STORE_TIMEOUT", "0"),
        ("FERRYMAN_MAX_HISTORY", "1.5"),
        ("FERRYMAN_MAX_HISTORY", "-1"),
        ("FERRYMAN_DEAD_LETTER_TTL", "-1"),
        ("FERRYMAN_NAMESPACE", "a:b"),
        ("FERRYMAN_NAMESPACE", "{x}"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(variable: str, text: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        load_settings({variable: text})


def test_no_history_is_a_choice() -> None:
    settings = load_settings({"FERRYMAN_MAX_HISTORY": "0", "FERRYMAN_DEAD_LETTER_TTL": "0"})
    assert (settings.max_history, settings.dead_letter_ttl) == (0, 0.0)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="leese"):
        load_settings({}, leese=5)


def test_settings_do_not_change() -> None:
    settings: Any = Settings()
    with pytest.raises(AttributeError):
        settings.lease = 5


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://user@host/0", "redis://user@host/0"),
        ("postgresql://anna:secret@host/db", "postgresql://anna:***@host/db"),
        ("postgresql://anna:se@cret@host/db", "postgresql://anna:***@host/db"),
        ("postgresql://anna:se:cret@host:5432/db", "postgresql://anna:***@host:5432/db"),
        ("postgresql://anna:se/cret@host/db", "postgresql://anna:***@host/db"),
        ("postgresql+psycopg://a:secret@/db?host=/run", "postgresql+psycopg://a:***@/db?host=/run"),
        ("unix:///run/valkey.sock?db=1&password=secret", "unix:///run/valkey.sock?db=1&password=***"),
        ("redis://host/0?password=secret&db=1", "redis://host/0?password=***&db=1"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert scrub(url) == shown


@given(st.text(min_size=1).filter(lambda text: len(set(text)) > 3))
def test_no_password_of_any_kind_is_shown(password: str) -> None:
    assert password not in scrub(f"postgresql://anna:{password}@host:5432/db")
