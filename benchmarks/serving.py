"""`ferryman serve` in a process of its own, for a measurement."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from ferryman.settings import PREFIX, Settings


@contextlib.contextmanager
def serving(settings: Settings, port: int = 0) -> Iterator[str]:
    """The address of a service of `benchmarks.served`, without keys and without a limit."""
    given = {
        "DATABASE_URL": settings.database_url,
        "VALKEY_URL": settings.valkey_url,
        "NAMESPACE": settings.namespace,
        "ALLOW": ",".join(settings.allow),
    }
    environment = {**os.environ, **{PREFIX + name: value for name, value in given.items() if value}}
    command = [sys.executable, "-m", "ferryman", "serve", "benchmarks.served:app", "--json"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--rate", "0"], env=environment, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        number: int = tried.getsockname()[1]
        return number
