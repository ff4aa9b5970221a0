"""A proxy between a store and its lane, so that a test can take the lane away and give it back."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """Relays connections to a server, unless it is cut (refuses) or stalled (says nothing).

    Attributes:
        refused: how many connections found it cut.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._up = True
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        self.refused = 0
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._up = False
        self._close_all()

    def mend(self) -> None:
        """Let everything through again."""
        self._up = True
        self._flowing.set()

    def stall(self) -> None:
        """Take what is sent, and let nothing through: a black hole."""
        self._flowing.clear()

    @contextlib.contextmanager
    def flapping(self, up: float, down: float) -> Iterator[None]:
        """Be up and down for so many seconds in turn."""
        done = threading.Event()

        def flap() -> None:
            while not done.wait(up):
                self.cut()
                done.wait(down)
                self.mend()

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            if not self._up:
                self.refused += 1
                inner.close()
                continue
            outer = socket.create_connection(self._target)
            with self._lock:
                self._open |= {inner, outer}
            self._start(self._pump, inner, outer)
            self._start(self._pump, outer, inner)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _close_all(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
