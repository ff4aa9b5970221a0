"""The servers that the systems are measured on, each started for them alone, on loopback.

Valkey 9 from the wheel with an append-only file, synced each second. PostgreSQL with its defaults:
fsync and synchronous commits are on. SQLite in a file. All of them write below one directory of
the disk, so that syncing costs all the same.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import psycopg
from tests import servers

from benchmarks.systems import System


class Ground:
    """The servers of one system's turn. Each `fresh` gives it an empty store."""

    def __init__(self, system: System, *, statements: bool = False) -> None:
        self._system = system
        self._statements = statements
        self._stack = contextlib.ExitStack()
        self._postgres: servers.Server | None = None
        self._valkeys: list[servers.Server] = []
        self._maintenance = ""
        self._count = 0

    def __enter__(self) -> Self:
        if "postgresql" in self._system.servers:
            self._start_postgres()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def fresh(self) -> Iterator[dict[str, str]]:
        """An empty store; gives the environment that tells where it is."""
        with contextlib.ExitStack() as stack:
            given: dict[str, str] = {}
            if "valkey" in self._system.servers:
                given["BENCHMARK_VALKEY"] = stack.enter_context(self._fresh_valkey())
            if "postgresql" in self._system.servers:
                given["BENCHMARK_DATABASE"] = stack.enter_context(self._fresh_database())
            if "sqlite" in self._system.servers:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ferryman-")))
                given["BENCHMARK_DATABASE"] = f"sqlite:///{folder / 'jobs.db'}"
            yield given

    def processes(self) -> list[psutil.Process]:
        """The servers' own processes."""
        keepers = [*self._valkeys, *([self._postgres] if self._postgres else [])]
        return [
            process
            for keeper in keepers
            for process in psutil.Process(keeper._process.pid).children(recursive=True)
        ]

    @contextlib.contextmanager
    def _fresh_valkey(self) -> Iterator[str]:
        folder, port = Path(tempfile.mkdtemp(prefix="ferryman-")), servers.free_port()
        options = {
            "bind": "127.0.0.1",
            "port": str(port),
            "dir": str(folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        command = [part for name in options for part in (f"--{name}", options[name])]
        valkey = servers.Server(folder, [servers._valkey_binary(), *command], "", "SIGKILL")
        self._valkeys.append(valkey)
        try:
            valkey.wait_until(lambda: servers._answers(("127.0.0.1", port)))
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            self._valkeys.remove(valkey)
            valkey.stop()

    def _start_postgres(self) -> None:
        origin, user = servers._postgres_origin(), servers._unprivileged_user()
        folder, port = servers._directory(), servers.free_port()
        if user:
            folder.chmod(0o755)
            shutil.chown(folder, user)
            if not servers._reachable(origin / "bin" / "postgres"):
                origin = servers._copied(origin, folder / "programs")
        servers._init_database(origin / "bin" / "initdb", folder / "data", user)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}"]
        if self._statements:
            options += ["-c", "shared_preload_libraries=pg_stat_statements"]
        command = [str(origin / "bin" / "postgres"), "-D", str(folder / "data"), "-k", str(folder)]
        self._postgres = servers.Server(folder, [*command, *options], user, "SIGQUIT")
        self._stack.callback(self._postgres.stop)
        ready = folder / "data" / "postmaster.pid"
        self._postgres.wait_until(lambda: ready.exists() and "ready" in ready.read_text())
        self._maintenance = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    @contextlib.contextmanager
    def _fresh_database(self) -> Iterator[str]:
        self._count += 1
        name = f"bench{self._count}"
        self._execute(f"CREATE DATABASE {name}")
        yield self._maintenance.removesuffix("postgres") + name
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._execute("CHECKPOINT")  # so that what one wrote does not burden the next

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            connection.execute(statement.encode())


def description() -> dict[str, str]:
    """The machine and the servers, for the record."""
    folder = tempfile.gettempdir()
    disk = max(
        (part for part in psutil.disk_partitions(all=True) if folder.startswith(part.mountpoint)),
        key=lambda part: len(part.mountpoint),
    )
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "files": f"{folder} on {disk.fstype}",
    }
