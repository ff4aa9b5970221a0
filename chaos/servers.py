"""Servers that are killed, frozen, filled up and started again, with what they had on disk."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psycopg
from redis import Redis
from redis.exceptions import RedisError
from tests import keeper, servers

from ferryman.worker.spawning import die_with_parent

START_LIMIT: Final = 60.0
"""Seconds that a server may take to answer, a replay of its log included."""


class Unready(Exception):
    """A server does not come up; the message holds the end of its log."""


def until(condition: Callable[[], Any], limit: float, what: str, pause: float = 0.01) -> Any:
    """The first true value of `condition`.

    Raises:
        TimeoutError: it did not come about within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit:g} s: {what}")
        time.sleep(pause)
    return value


def start(command: list[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process. Call it on the main thread, which outlives it:
    the kernel ends the program with the thread that started it."""
    parent = os.getpid()
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: die_with_parent(parent),
            start_new_session=True,
            **options,
        )


class Server:
    """A program on a port of its own, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = servers.free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder.with_suffix(".log")
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None  # noqa: S101 - it was started
        return self._process.pid

    def start(self) -> None:
        """Start it with what it has on disk, and wait until it answers."""
        self.launch()
        self.until_answering()

    def launch(self) -> None:
        """Start it, and do not wait."""
        self._process = start(self._command(), self._log, **self._options())

    def until_answering(self) -> None:
        """Wait until it answers.

        Raises:
            Unready: it does not.
        """
        try:
            until(lambda: self._answers() or not self.runs, START_LIMIT, "the server answers")
        except TimeoutError:
            raise Unready(self._log.read_text()[-2000:]) from None
        if not self.runs:
            raise Unready(self._log.read_text()[-2000:])

    def kill(self) -> None:
        """SIGKILL to the one process that serves."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it takes connections, and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.kill()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _options(self) -> dict[str, Any]:
        return {}

    def _answers(self) -> bool:
        raise NotImplementedError


class Valkey(Server):
    """A Valkey server.

    Args:
        durable: with an append-only file that is synced each second.
        options: further ones of the server.
    """

    def __init__(self, folder: Path, *, durable: bool, **options: str) -> None:
        super().__init__(folder)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.given = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(folder),
            "save": "",
            "appendonly": "yes" if durable else "no",
            "appendfsync": "everysec",
            "enable-debug-command": "yes",
            **options,
        }

    def client(self) -> "Redis":
        """A client; to be closed."""
        return Redis.from_url(self.url, socket_timeout=30)

    def command(self, *words: str | int) -> Any:
        """What the server answers."""
        with self.client() as client:
            return client.execute_command(*words)

    def info(self, field: str) -> str:
        """A field of `INFO`."""
        with self.client() as client:
            return str(client.info()[field])

    def _command(self) -> list[str]:
        parts = [part for name, value in self.given.items() for part in (f"--{name}", value)]
        return [servers._valkey_binary(), *parts]

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except (OSError, RedisError):
            return False


class Postgresql(Server):
    """A PostgreSQL server that keeps what it commits."""

    OPTIONS: Final = {
        "listen_addresses": "127.0.0.1",
        "shared_buffers": "32MB",
        "max_connections": "60",
        "autovacuum": "on",
        "deadlock_timeout": "200ms",
        # Small, so that it does not use up a small disk, and recovers in no time.
        "max_wal_size": "64MB",
        "min_wal_size": "32MB",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._user = servers._unprivileged_user()
        for part in folder.parents:
            if part.stat().st_uid == os.geteuid() and not part.stat().st_mode & 0o001:
                part.chmod(part.stat().st_mode | 0o011)  # its user must get through to it
        options = {**self.OPTIONS, "port": str(self.port)}
        origin = servers._postgres_origin()
        self._given = servers._prepared_postgres(origin, folder, self._user, options)

    def stop_at_once(self) -> None:
        """An immediate stop, as a power failure that the disks survive."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """The same: a postmaster that is killed leaves its shared memory to be cleaned up."""
        self.stop_at_once()

    def freeze(self) -> None:
        """SIGSTOP to all of its processes."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to all of its processes."""
        os.killpg(self.pid, signal.SIGCONT)

    def connect(self) -> "psycopg.Connection[Any]":
        """A connection that commits each statement; to be closed."""
        return psycopg.connect(self.url, autocommit=True, connect_timeout=10)

    def _command(self) -> list[str]:
        return self._given

    def _options(self) -> dict[str, Any]:
        return keeper.credentials(self._user)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url, connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            return False


def remove(folder: Path) -> None:
    """Delete a folder, also where its files belong to a server's user."""
    shutil.rmtree(folder, ignore_errors=True)
