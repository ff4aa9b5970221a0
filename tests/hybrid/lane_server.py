"""A lane of a test's own: a Valkey server that it may kill, stop and start again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from tests import servers


class LaneServer:
    """One server on a port that stays its own. It writes snapshots when it is told to."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="ferryman-"))
        self._port = servers.free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._directory)

    def start(self) -> None:
        """Start it, with what its latest snapshot holds."""
        options = {"bind": "127.0.0.1", "port": str(self._port), "save": "", "appendonly": "no"}
        options["dir"] = str(self._directory)
        command = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [servers._valkey_binary(), *command], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + servers.START_LIMIT
        while not self._answers():
            assert time.monotonic() < deadline, "the lane does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def replace(self) -> None:
        """Kill it, and start an empty one in its place."""
        self.kill()
        for file in self._directory.iterdir():
            file.unlink()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: it takes connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def client(self) -> "Redis":
        """A client of the test's own; to be closed."""
        return Redis.from_url(self.url)

    def flush(self) -> None:
        """FLUSHALL."""
        with self.client() as client:
            client.flushall()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except (OSError, RedisError):
            return False
