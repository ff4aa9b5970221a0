"""The check-up: what is promised is true, and what is wrong is said with its remedy."""

import msgspec
import pytest
from sqlalchemy import Engine, text

from ferryman.domain.errors import StoreUnsafe
from ferryman.settings import Settings
from ferryman.stores.base import Finding
from ferryman.stores.sql import doctor
from ferryman.stores.sql.store import SqlStore


def _about(findings: list[Finding], word: str) -> Finding:
    (finding,) = [one for one in findings if word in one.what]
    return finding


async def _checked(settings: Settings) -> list[Finding]:
    store = SqlStore(settings)
    await store.open()
    try:
        return await store.check()
    finally:
        await store.close()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
async def test_a_sqlite_file_keeps_what_was_acknowledged(settings: Settings) -> None:
    findings = await _checked(settings)
    assert {finding.level for finding in findings} == {"ok"}
    assert "WAL" in _about(findings, "nothing that was acknowledged is lost").what
    assert _about(findings, "SQLite 3").level == "ok"


@pytest.mark.usefixtures("own_database")
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_settings_of_postgresql_that_break_a_promise(
    settings: Settings, engine: Engine
) -> None:
    findings = await _checked(settings)  # the test server does without fsync
    assert _about(findings, "PostgreSQL").level == "ok"
    assert _about(findings, "up to date").level == "ok"
    fsync = _about(findings, "fsync is off")
    assert (fsync.level, "fsync = on" in fsync.mend) == ("error", True)
    assert not [one for one in findings if "nothing that was acknowledged" in one.what]
    with engine.begin() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        for setting in ("synchronous_commit = off", "default_transaction_isolation = serializable"):
            connection.execute(text(f"ALTER DATABASE {name} SET {setting}"))
    with pytest.raises(StoreUnsafe, match="synchronous_commit"):
        await _checked(settings)
    with pytest.raises(StoreUnsafe, match=r"fsync is off.*FERRYMAN_ALLOW=no-fsync"):
        await _checked(msgspec.structs.replace(settings, allow=("async-commit",)))
    allow = ("async-commit", "no-fsync")
    findings = await _checked(msgspec.structs.replace(settings, allow=allow))
    assert _about(findings, "synchronous_commit is off").level == "error"
    assert _about(findings, "default_transaction_isolation").level == "warning"


async def test_a_database_that_is_too_old_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "OLDEST_SQLITE", (4, 0, 0))
    monkeypatch.setattr(doctor, "OLDEST_POSTGRESQL", (99, 0))
    with pytest.raises(StoreUnsafe, match=r"too old: .* or newer is needed"):
        await _checked(settings)
