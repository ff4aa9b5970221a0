"""Starting a program of our own with a channel to it, and tying its life to its parent's.

Never a fork that goes on: a fresh interpreter inherits no client, no lock and no thread.
"""

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from typing import Any, ClassVar, Final

import msgspec

from ferryman.worker.channel import Channel
from ferryman.worker.messages import Message
from ferryman.worker.options import WorkerOptions

MARK: Final = "FERRYMAN_MARK_"
"""Environment variables of this prefix mark a process and all that it starts, so that what it
left behind can be found, whatever session or parent it has by then."""

LAST_WORDS: Final = 0.2
"""Seconds after a program's exit in which its last messages are still read."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


class Launch(msgspec.Struct, frozen=True):
    """The one argument of a started program.

    Attributes:
        app: the path of the application.
        parent: the process id that it must not outlive.
        descriptor: its end of the channel.
    """

    app: str
    options: WorkerOptions
    parent: int
    descriptor: int

    @classmethod
    def accept(cls) -> "Launch":
        """The argument that this program was started with; ends it if its parent is gone."""
        launch = msgspec.json.decode(sys.argv[1], type=cls)
        # Nothing that this program starts may hold the channel open.
        os.set_inheritable(launch.descriptor, False)
        die_with_parent(launch.parent)
        return launch


class Program:
    """A started program: its messages, its exit, and the mark of all that it starts.

    Attributes:
        running: the process ids of all started programs, which have somebody to reap them.
    """

    running: ClassVar[set[int]] = set()

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel[Any], mark: str) -> None:
        self._process = process
        self._channel = channel
        self.mark = mark
        self.pid = process.pid
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        # A thread each, for it is the one way to wait that every platform and loop has.
        threading.Thread(
            target=self._watch, args=(self.exit.get_loop(),), name="ferryman-exit", daemon=True
        ).start()

    @classmethod
    async def start(
        cls, module: str, app: str, options: WorkerOptions, mark: str, incoming: Any
    ) -> "Program":
        """Start `python -m module` in a session of its own.

        Call it on a thread that lives as long as the program shall: the kernel ends the program
        when the thread that started it ends.
        """
        ours, theirs = socket.socketpair()
        value = secrets.token_hex(8)
        launch = Launch(app, options, os.getpid(), theirs.fileno())
        with theirs:
            # Blocking, but only until the program is there: a few milliseconds.
            process = subprocess.Popen(  # noqa: ASYNC220
                [sys.executable, "-m", module, msgspec.json.encode(launch).decode()],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**os.environ, mark: value},
            )
        cls.running.add(process.pid)
        return cls(process, await Channel.over(ours, incoming), f"{mark}={value}")

    def send(self, message: Message) -> None:
        """Send it a message without waiting."""
        self._channel.send(message)

    async def receive(self) -> Any:
        """Its next message; `None` after the last."""
        return await self._channel.receive()

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to it and to what shares its process group, as long as it is there."""
        with contextlib.suppress(ProcessLookupError):
            if not self.exit.done():
                os.killpg(self.pid, number)

    async def close(self) -> None:
        """Let go of the channel."""
        await self._channel.close()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        code = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._exited, code)

    def _exited(self, code: int) -> None:
        Program.running.discard(self.pid)
        if not self.exit.done():
            self.exit.set_result(code)
        # Something that it forked may hold its end open: then no end of file comes.
        self.exit.get_loop().call_later(LAST_WORDS, self._channel.hang_up)


def how_it_ended(code: int) -> str:
    """An exit code in words: `was killed by SIGKILL`, `exited with code 3`."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (Linux), or end now if it has."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of all orphans below this process (Linux), so that it can reap them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def leave_signals_to_parent() -> None:
    """Neither Ctrl-C nor a SIGTERM to a whole service shall end this process on its own.

    Handlers that do nothing, and not `SIG_IGN`: what is ignored stays so in programs that jobs
    start, and they must be able to be stopped.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
