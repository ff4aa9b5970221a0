"""The systems that are compared: which file speaks for each, and which servers it needs."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class System:
    """One entry of the comparison.

    Attributes:
        name: as the tables call it.
        peer: its file in `benchmarks/peers`, and its requirements.
        servers: of `valkey`, `postgresql` and `sqlite`, those that it uses.
        variant: which of its ways, where it is entered more than once.
        python: the least Python that it runs on; else the one that runs the benchmark.
    """

    name: str
    peer: str
    servers: tuple[str, ...]
    variant: str = ""
    python: tuple[int, int] = (3, 11)

    @property
    def own(self) -> bool:
        """Whether this is Ferryman."""
        return self.peer == "ferryman"

    @property
    def kind(self) -> str:
        """`valkey`, `sql` or `hybrid`: whom it is compared with."""
        if len(self.servers) > 1:
            return "hybrid"
        return "valkey" if self.servers == ("valkey",) else "sql"


def _redis(name: str, peer: str = "", variant: str = "") -> System:
    return System(name, peer or name, ("valkey",), variant)


def _sql(name: str, python: tuple[int, int] = (3, 11)) -> System:
    return System(name, name, ("postgresql",), python=python)


ALL: Final = {
    system.name: system
    for system in (
        System("ferryman-valkey", "ferryman", ("valkey",)),
        System("ferryman-postgresql", "ferryman", ("postgresql",)),
        System("ferryman-sqlite", "ferryman", ("sqlite",)),
        System("ferryman-hybrid", "ferryman", ("valkey", "postgresql")),
        System("ferryman-hybrid-sqlite", "ferryman", ("valkey", "sqlite")),
        _redis("dramatiq"),
        _redis("dramatiq-results", "dramatiq", "results"),
        _redis("huey"),
        _redis("huey-results", "huey", "results"),
        _redis("taskiq"),
        _redis("taskiq-results", "taskiq", "results"),
        _redis("saq"),
        _redis("bullmq"),
        _redis("arq"),
        _redis("docket"),
        _redis("streaq"),
        _redis("celery"),
        _redis("celery-results", "celery", "results"),
        _redis("rq"),
        _redis("rq-forking", "rq", "forking"),
        _sql("pgqueuer"),
        _sql("oban", (3, 12)),
        _sql("chancy"),
        _sql("procrastinate"),
    )
}
"""All systems by name; Ferryman's deployments come first."""

SHORT: Final = (
    *(name for name, system in ALL.items() if system.own),
    "dramatiq", "huey", "taskiq", "bullmq", "pgqueuer", "oban", "procrastinate",
)  # fmt: skip
"""Ferryman against the best of each kind; BullMQ for its bulk enqueue, which others lack."""
