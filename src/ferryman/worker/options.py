"""How a worker is run: one frozen object, parsed at the edge, handed on to every process."""

import logging
from typing import Final, Literal

import msgspec

from ferryman.domain.errors import ConfigError
from ferryman.domain.ids import check_name

LOG_LEVELS: Final = ("debug", "info", "warning", "error")


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `ferryman worker` and `app.worker()` can be told; times are in seconds.

    Attributes:
        queues: served in this order, each one empty before the next; none is: the queues of
            the application's tasks, in the order in which they were registered.
        concurrency: jobs that one process runs at a time.
        processes: worker processes.
        grace: after a request to stop, the time that running jobs have to end.
        cancel_grace: the time that a cancelled job has to end by itself.
        max_jobs: a process that has started this many jobs is replaced by a new one.
        max_lifetime: as `max_jobs`, by age.
        burst: stop when no job is queued, due or running here.
        preload: set up all resources before the first job is taken.
        reload: restart the processes when a source file below the working directory changes.
        name: shown to people; process k is called `name.k`. `None` is: host and process id.
        log_format: lines for people, or JSON, one object a line.
        log_level: the least level that is logged.
        database_url, valkey_url: the store that the command line named; an application that
            names another in its code is refused.
    """

    queues: tuple[str, ...] = ()
    concurrency: int = 10
    processes: int = 1
    grace: float = 25.0
    cancel_grace: float = 5.0
    max_jobs: int | None = None
    max_lifetime: float | None = None
    burst: bool = False
    preload: bool = False
    reload: bool = False
    name: str | None = None
    log_format: Literal["text", "json"] = "text"
    log_level: str = "info"
    database_url: str | None = None
    valkey_url: str | None = None

    def __post_init__(self) -> None:
        for queue in self.queues:
            check_name(queue, "queue")
        if self.name is not None:
            check_name(self.name, "worker name")
        for name in ("concurrency", "processes", "max_jobs", "max_lifetime"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"{name} must be more than 0, not {value}")
        for name in ("grace", "cancel_grace"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 seconds or more, not {getattr(self, name)}")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(
                f"log_level must be one of {', '.join(LOG_LEVELS)}, not {self.log_level!r}"
            )

    @property
    def level(self) -> int:
        """The log level as `logging` counts it."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]
