"""An application on each kind of store, with the real clock."""

from collections.abc import Iterator

import msgspec
import pytest

from ferryman import Ferryman
from ferryman.settings import Settings
from tests.backends import BACKENDS


@pytest.fixture(params=["sqlite", "postgresql", "valkey"])
def settings(request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of an empty store."""
    with BACKENDS[request.param](request) as value:
        yield value


@pytest.fixture
def app(settings: Settings) -> Iterator[Ferryman]:
    """An application whose synchronous side is closed after the test."""
    app = Ferryman(**msgspec.structs.asdict(settings))
    yield app
    app.close()
