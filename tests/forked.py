"""Processes that begin as fresh interpreters do, and with the imports done.

Ferryman's programs spend most of their first second on imports. These are forked from a process
that has imported the same modules, has one thread, holds nothing and has run nothing.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

_nursery: Final = multiprocessing.get_context("forkserver")
_nursery.set_forkserver_preload(
    [
        *("ferryman.cli.main", "ferryman.cli.views", "ferryman.worker.trial"),
        *("ferryman.stores.hybrid.store", "ferryman.stores.sql.migrations"),
        *("ferryman.worker.supervisor", "ferryman.client.portal", "aiosqlite", "psycopg"),
        *("rich.console", "rich.progress", "rich.table"),
    ]
)


class Forked:
    """A process that calls a function; it is waited for and signalled as a `Popen` is.

    Args:
        main: a function of a module; the process ends with it, or with `sys.exit`.
        cwd: its working directory, where it also imports from first.
        stdin: a file to read; none is: nothing to read.
        stdout, stderr: files to append to.
    """

    def __init__(
        self,
        main: Callable[..., object],
        *arguments: Any,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Path = Path(os.devnull),
        stdout: Path,
        stderr: Path,
    ) -> None:
        streams = (stdin, stdout, stderr)
        self._process = _nursery.Process(
            target=_begin, args=(main, arguments, cwd, dict(env), streams)
        )
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def send_signal(self, sign: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, sign)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _begin(
    main: Callable[..., object],
    arguments: tuple[Any, ...],
    cwd: Path,
    environment: dict[str, str],
    streams: tuple[Path, ...],
) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, str(cwd))
    for number, path in enumerate(streams):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
        file = os.open(path, flags, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    main(*arguments)
