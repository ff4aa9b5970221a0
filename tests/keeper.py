"""Run a server for as long as someone holds this process's standard input open.

A test run that is killed closes it too, so no server ever outlives the run that started it.

    python keeper.py DIRECTORY USER SIGNAL COMMAND…

`DIRECTORY` is removed when the command has ended. `USER` runs it ("" is: the present one).
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any

GRACE = 5.0
"""Seconds between the friendly signal and SIGKILL."""


def credentials(user: str) -> dict[str, Any]:
    """The arguments that make `Popen` run a command as `user`."""
    if not user:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def end(server: subprocess.Popen[bytes], sign: signal.Signals) -> None:
    """Stop `server`, by force if it does not listen."""
    server.send_signal(sign)
    try:
        server.wait(GRACE)
    except subprocess.TimeoutExpired:
        server.kill()


def main(directory: str, user: str, sign: str, *command: str) -> int:
    """Run `command` until it ends or standard input closes."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, **credentials(user))

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end(server, signal.Signals[sign])

    threading.Thread(target=watch, daemon=True).start()
    try:
        return server.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
