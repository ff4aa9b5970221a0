"""The application object that users hold: a client that can also run its own jobs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ferryman.client.client import Client
from ferryman.settings import load_settings

if TYPE_CHECKING:
    from ferryman.worker.embedded import EmbeddedWorker


class Ferryman(Client):
    """The jobs of one application: `app = Ferryman()`.

    What is not given here is read from the environment (`FERRYMAN_DATABASE_URL`,
    `FERRYMAN_VALKEY_URL`, …); where that names no store either, jobs are kept in a SQLite file
    below the working directory.

    Args:
        database_url: SQLite or PostgreSQL, as a SQLAlchemy URL.
        valkey_url: Valkey or Redis (`redis://`, `rediss://`, `unix://`).
        settings: any other field of `ferryman.settings.Settings`.

    Raises:
        ConfigError: settings that contradict each other or cannot be used.
    """

    def __init__(
        self, database_url: str | None = None, valkey_url: str | None = None, **settings: Any
    ) -> None:
        super().__init__(
            load_settings(database_url=database_url, valkey_url=valkey_url, **settings)
        )

    def worker(
        self,
        *,
        queues: Iterable[str] = (),
        concurrency: int = 10,
        grace: float = 25.0,
        cancel_grace: float = 5.0,
        preload: bool = False,
    ) -> "EmbeddedWorker":
        """A worker in this process: `async with app.worker() as worker: await worker.drain()`.

        It runs on the caller's event loop, for tests and small applications. What jobs do to this
        process they do to it: a worker of its own (`ferryman worker`) stands apart from them.

        Args:
            queues: served in this order; none is: those of the application's tasks.
            concurrency: jobs that it runs at a time.
            grace: seconds that running jobs have to end when the block is left.
            cancel_grace: seconds that a cancelled job has to end by itself.
            preload: set up all resources first.

        Raises:
            ConfigError, InvalidName: an option that cannot be used.
        """
        # Only here: who merely enqueues need not load what runs jobs.
        from ferryman.worker.embedded import EmbeddedWorker
        from ferryman.worker.options import WorkerOptions

        options = WorkerOptions(
            queues=tuple(queues),
            concurrency=concurrency,
            grace=grace,
            cancel_grace=cancel_grace,
            preload=preload,
        )
        return EmbeddedWorker(self, options)
