"""The sink outside: takes a job's effect, unless it has seen this token or a higher one.

It is a process that no fault touches. It answers on a socket, so that no process which is stopped
in the middle of a write can hold up the others, and writes down what it took.

    python -m chaos.sink SOCKET
"""

import asyncio
import os
import socket
import sys
import threading
from typing import Final

from chaos import actor
from chaos.history import Effect, now

TIMEOUT: Final = 30.0


class Sink:
    """The highest token that was seen of each job."""

    def __init__(self) -> None:
        self._tokens: dict[str, int] = {}

    def take(self, job: str, token: int) -> bool:
        """Whether the effect is taken: the conditional write, atomic for this is one thread."""
        taken = self._tokens.get(job, -1) < token
        if taken:
            self._tokens[job] = token
        actor.recorder().add(Effect(t=now(), job=job, token=token, taken=taken))
        return taken

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it goes."""
        while line := await reader.readline():
            job, token = line.decode().split()
            writer.write(b"1" if self.take(job, int(token)) else b"0")
        writer.close()


_local = threading.local()


def effect(job: str, token: int) -> bool:
    """Have an effect, from a job; whether it was taken.

    Raises:
        OSError: the sink cannot be reached.
    """
    connection: socket.socket | None = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT)
        connection.connect(os.environ[actor.SINK])
    connection.sendall(f"{job} {token}\n".encode())
    return connection.recv(1) == b"1"


async def main(path: str) -> None:
    """Serve until killed."""
    sink = Sink()
    server = await asyncio.start_unix_server(sink.serve, path)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
