"""The supervisor: starts worker processes, renews their leases, and holds no user code."""

from ferryman.worker.options import WorkerOptions


def run(app: str, options: WorkerOptions) -> int:
    """Run a worker for the application `app` (`module:attribute`) until it is told to stop.

    Blocks the calling thread, which must be the main one, and takes SIGTERM and SIGINT.

    Returns:
        the exit code: 0 after a stop or a finished burst, 1 if the application cannot be run.
    """
    raise NotImplementedError(f"worker for {app} with {options}")
