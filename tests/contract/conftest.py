"""The store under test as a `World`."""

import pytest

from ferryman.stores import JobStore
from tests.clock import FakeClock
from tests.contract.world import World


@pytest.fixture
def world(store: JobStore, clock: FakeClock) -> World:
    """An empty store with its clock."""
    return World(store, clock)
