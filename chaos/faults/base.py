"""What a fault is, and what several of them are made of."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Literal

import msgspec

from chaos.history import Scope
from chaos.stage import Deployment, Stage

Need = Literal["any", "clock", "valkey", "record", "lane", "postgresql", "sqlite"]
"""Where a fault applies: on all deployments, with a store whose clock is not its workers', with a
Valkey server, with one that keeps the records, with one that is a lane, on a database of a kind."""

Inject = Callable[[Stage], AbstractContextManager[None]]
"""Entering it begins the fault, leaving it heals the fault."""

LEASES: Final = 1.8
"""How many leases a fault lasts that is to outlive them."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault.

    Attributes:
        hold: seconds that it lasts.
        leases: how many leases it lasts on top of that.
        setup: what a stage needs for it, over what it has.
        mix: the jobs that it needs.
        power: the store may forget by it what it acknowledged.
        joins: whether it may be one of several at once.
        tool: the file that must be there, where it takes a tool that is not installed by itself.
    """

    name: str
    inject: Inject
    need: Need = "any"
    hold: float = 1.0
    leases: float = 0.0
    setup: dict[str, Any] = {}
    mix: dict[str, int] = {}
    power: bool = False
    joins: bool = True
    tool: str = ""

    def applies(self, deployment: Deployment) -> bool:
        """Whether it can be injected there."""
        match self.need:
            case "any":
                return True
            case "valkey":
                return deployment.valkey
            case "record":
                return deployment.valkey and not deployment.lane
            case "lane":
                return deployment.lane
            case "clock":
                return deployment.database != "sqlite"
            case database:
                return deployment.database == database

    def lasts(self, lease: float) -> float:
        """Seconds from its beginning to its healing."""
        return self.hold + self.leases * lease


def valkey_scope(stage: Stage) -> Scope:
    """What an outage of the Valkey server may interrupt: nothing, where it is only a lane."""
    return "none" if stage.deployment.lane else "store"


@contextlib.contextmanager
def repeated(act: Callable[[], object], every: float) -> Iterator[None]:
    """Do something again and again while this lasts, whatever comes of it."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.is_set():
            with contextlib.suppress(Exception):
                act()
            ended.wait(every)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
