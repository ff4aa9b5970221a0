"""The command line on an empty store, and a world beside it that brings jobs into any state."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ferryman.settings import Settings
from ferryman.stores import make_store
from tests.backends import BACKENDS
from tests.cli.command import Cli
from tests.clock import FakeClock
from tests.contract.world import World


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working directory of the commands."""
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture(params=["sqlite"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store: SQLite, unless a test names others."""
    with BACKENDS[request.param](request) as value:
        yield value


@pytest.fixture
def bare(folder: Path) -> Cli:
    """The command line where nothing is configured."""
    return Cli(folder)


@pytest.fixture
def cli(folder: Path, settings: Settings) -> Cli:
    """The command line with a store in its environment."""
    return Cli(folder, settings)


@pytest.fixture
async def world(settings: Settings, clock: FakeClock) -> AsyncIterator[World]:
    """The same store from within the test."""
    store = make_store(settings, clock=clock)
    try:
        await store.open()
        yield World(store, clock)
    finally:
        await store.close()
