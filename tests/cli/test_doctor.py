"""`ferryman doctor` and `ferryman migrate`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ferryman.domain.states import JobState
from ferryman.settings import Settings
from tests.cli.command import Cli
from tests.contract.world import World

BOTH = pytest.mark.parametrize("settings", ["sqlite", "valkey"], indirect=True)


@BOTH
def test_a_store_that_is_well(cli: Cli, settings: Settings) -> None:
    data = cli.json("doctor")
    assert data["store"] == ("valkey" if settings.valkey_url else "sqlite")
    assert data["url"] == (settings.valkey_url or settings.database_url)
    assert (data["healthy"], data["configured"]) == (True, True)
    assert data["promise"].startswith("at least once")
    assert data["findings"]
    assert "promise  at least once" in cli("doctor").out


def test_nothing_is_configured(bare: Cli, folder: Path) -> None:
    assert "the embedded default: nothing is configured" in bare("doctor").out
    data = bare.json("doctor")
    assert data["url"] == f"sqlite:///{folder}/.ferryman/ferryman.db"
    assert data["healthy"] is True


async def test_what_stops_jobs(cli: Cli, world: World) -> None:
    await world.bring(JobState.QUEUED, "a", queue="mail")
    await world.store.pause("mail")
    await world.bring(JobState.FAILED, "b", queue="ocr")
    findings = {finding["mend"]: finding["what"] for finding in cli.json("doctor")["findings"]}
    assert "is paused" in findings["ferryman queues resume mail"]
    assert "no live worker reads" in findings["ferryman worker MODULE:NAME --queues mail"]
    assert "dead letters of queue 'ocr': 1" in findings["ferryman dead-letters list --queue ocr"]


@pytest.mark.parametrize(
    "url", ["redis://:secret@127.0.0.1:1/0", "postgresql://a:secret@127.0.0.1:1/b"]
)
def test_a_server_that_is_not_there(bare: Cli, url: str) -> None:
    option = "--valkey-url" if url.startswith("redis") else "--database-url"
    data = bare.json("doctor", option, url, code=1)
    (finding,) = data["findings"]
    assert finding["level"] == "error"
    assert "127.0.0.1:1" in finding["what"]
    answer = bare("doctor", option, url, code=1)
    assert "error" in answer.out
    assert "secret" not in answer.out + answer.err + str(data)


def test_two_stores_at_once(bare: Cli) -> None:
    """They are one: the hybrid store, whose lane may be down."""
    urls = ("--database-url", "sqlite:///a.db", "--valkey-url", "redis://127.0.0.1:1/0")
    answer = bare.json("doctor", *urls)
    assert (answer["store"], answer["healthy"]) == ("hybrid", True)
    assert any(finding["what"].startswith("degraded") for finding in answer["findings"])


def test_tables_that_are_not_there(bare: Cli, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "theirs.db")) as database:
        database.execute("CREATE TABLE receipts (id INTEGER)")
    url = ("--database-url", "sqlite:///theirs.db")
    assert "ferryman migrate" in bare("doctor", *url, code=1).out
    assert "ferryman migrate" in bare("jobs", "list", *url, code=1).err
    assert bare.json("migrate", *url)["migrated"].endswith("/theirs.db")
    assert bare.json("doctor", *url)["healthy"] is True
    assert "up to date" in bare("migrate", *url).out


def test_a_migration_without_a_server(bare: Cli) -> None:
    error = bare.json("migrate", "--database-url", "postgresql://a:b@127.0.0.1:1/c", code=1)
    assert error["error"]["type"] == "StoreUnavailable"


def test_valkey_has_no_tables(bare: Cli) -> None:
    answer = bare("migrate", "--valkey-url", "redis://127.0.0.1:1/0")
    assert "nothing to do" in answer.out
