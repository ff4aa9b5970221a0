"""The application that the benchmarks run; its store is named by the environment."""

import asyncio
import ctypes
import os
import time

from ferryman import Ferryman, current_job

app = Ferryman()


def note(word: str) -> None:
    """One line a moment in the journal; one write, so that it outlives a kill."""
    line = f"{word} {current_job().id} {os.getpid()} {time.monotonic()}\n"
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(journal, line.encode())
    finally:
        os.close(journal)


@app.task
async def nap(seconds: float) -> None:
    note("start")
    await asyncio.sleep(seconds)
    note("end")


@app.task
def hold_the_interpreter(seconds: int) -> None:
    note("start")
    ctypes.PyDLL(None).sleep(seconds)
    note("end")


@app.task
async def block_the_loop(seconds: float) -> None:
    note("start")
    time.sleep(seconds)  # noqa: ASYNC251 - this is the fault that is measured
    note("end")


@app.task
async def nothing(number: int, path: str, user: int) -> None:
    """A no-op with the arguments of a receipt."""


@app.task
def nothing_in_a_thread(number: int, path: str, user: int) -> None:
    """The same, for a thread."""
