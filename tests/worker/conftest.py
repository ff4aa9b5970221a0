"""Workers on real stores, with short leases."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ferryman.settings import Settings
from tests.backends import BACKENDS
from tests.worker.rig import Rig


@pytest.fixture(params=["sqlite", "valkey"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store: what dies is noticed within seconds."""
    with BACKENDS[request.param](request) as value:
        yield msgspec.structs.replace(value, lease=2.0, sweep=0.2)


@pytest.fixture
def rig(settings: Settings, tmp_path: Path) -> Iterator[Rig]:
    """A store and workers for it."""
    rig = Rig(settings, tmp_path)
    yield rig
    rig.app.close()
