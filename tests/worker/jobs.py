"""The application that the workers of these tests run; its store is named by the environment."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from ferryman import INJECT, Cancel, Ferryman, Permanent, Retry, Secret, Snooze, current_job

app = Ferryman()

TWICE = Retry(max_attempts=2, delays=(0,))


def note(word: str) -> None:
    """Append a line to the journal of the test; one write, so that it outlives a kill."""
    line = f"{word} {current_job().id} {os.getpid()} {time.monotonic()}\n"
    _append(line)


def _append(line: str) -> None:
    journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(journal, line.encode())
    finally:
        os.close(journal)


# -- each kind -----------------------------------------------------------------------------------


@app.task
async def add_async(a: int, b: int) -> int:
    return a + b


@app.task
def add_sync(a: int, b: int) -> int:
    return a + b


@app.task(isolation="process")
def add_isolated(a: int, b: int) -> int:
    return a + b


@app.task(isolation="process")
async def add_isolated_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


@app.task(retry=Retry(max_attempts=2, delays=(0.05,)))
def second_time() -> int:
    if current_job().attempt == 1:
        raise ValueError("not yet")
    return current_job().attempt


@app.task(retry=5, isolation="process")
def permanent() -> None:
    raise Permanent("never")


@app.task
def snooze_once() -> Any:
    return Snooze(0.05) if current_job().deliveries == 1 else current_job().attempt


@app.task
async def cancel_itself() -> Cancel:
    return Cancel("not needed")


@app.task(isolation="process")
def report() -> list[Any]:
    job = current_job()
    for step in range(1000):
        job.progress(step + 1, 1000, f"step {step}")
        time.sleep(0.03 if step == 500 else 0)  # so that the last ones come after a first flush
    job.save("half")
    return [job.checkpoint, job.deliveries]


@app.task(retry=Retry(max_attempts=2, delays=(0.05,)))
async def log_async() -> None:
    _log()


@app.task(retry=Retry(max_attempts=2, delays=(0.05,)))
def log_sync() -> None:
    _log()


@app.task(retry=Retry(max_attempts=2, delays=(0.05,)), isolation="process")
def log_isolated() -> None:
    _log()


def _log() -> None:
    job = current_job()
    job.log.info("attempt %d begins", job.attempt)
    job.log.warning("it is late")
    if job.attempt == 1:
        raise ValueError("not yet")


@app.task
async def leak_async(pin: Secret[str]) -> Cancel:
    return _leak(pin)


@app.task
def leak_sync(pin: Secret[str]) -> Cancel:
    return _leak(pin)


@app.task(isolation="process")
def leak_isolated(pin: Secret[str]) -> Cancel:
    return _leak(pin)


def _leak(pin: str) -> Cancel:
    job = current_job()
    job.log.warning("logs %s", pin)
    job.progress(1, 2, f"does {pin}")
    if pin.startswith("raise"):
        raise ValueError(f"raises {pin}")
    return Cancel(f"returns {pin}")


# -- too long, too large -------------------------------------------------------------------------


@app.task(timeout=0.3)
async def late_async() -> None:
    note("start")
    try:
        await asyncio.sleep(60)
    finally:
        note("unwound")


@app.task(timeout=0.3)
def late_sync() -> str:
    note("start")
    while not current_job().cancelled:
        time.sleep(0.01)
    note("unwound")
    return "too late"


@app.task(timeout=0.3, isolation="process")
def late_isolated() -> None:
    note("start")
    try:
        time.sleep(60)
    finally:
        note("unwound")


@app.task(timeout=0.3, isolation="process", retry=TWICE)
def deaf() -> str:
    if current_job().attempt == 2:
        return "recovered"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(60)


@app.task(isolation="process", memory_limit="200 MiB", timeout=30)
def eat(mebibytes: int) -> int:
    note("start")
    eaten = bytearray(os.urandom(1024)) * 1024 * mebibytes
    time.sleep(1 if mebibytes > 200 else 0)
    return len(eaten)


# -- resources -----------------------------------------------------------------------------------


@app.resource
def engine() -> Iterator[str]:
    _append(f"load - {os.getpid()} {time.monotonic()}\n")
    yield f"engine of {os.getpid()}"
    _append(f"unload - {os.getpid()} {time.monotonic()}\n")


@app.resource
def broken_engine() -> str:
    raise RuntimeError("no such model")


@app.task(queue="engines")
def use_engine(*, engine: Annotated[str, engine] = INJECT) -> str:
    return engine


@app.task(queue="engines", isolation="process")
def use_engine_isolated(*, engine: Annotated[str, engine] = INJECT) -> str:
    return engine


@app.task(queue="engines")
def use_broken_engine(*, engine: Annotated[str, broken_engine] = INJECT) -> str:
    return engine


# -- long ones, and those that do harm ------------------------------------------------------------


@app.task
async def nap(seconds: float) -> int:
    note("start")
    await asyncio.sleep(seconds)
    note("end")
    return current_job().deliveries


@app.task
def nap_sync(seconds: float) -> int:
    note("start")
    time.sleep(seconds)
    note("end")
    return current_job().deliveries


@app.task(isolation="process")
def nap_isolated(seconds: float) -> int:
    note("start")
    time.sleep(seconds)
    note("end")
    return current_job().deliveries


@app.task
def hold_the_interpreter(seconds: int) -> None:
    """A C function that does not let go of the interpreter lock."""
    note("start")
    ctypes.PyDLL(None).sleep(seconds)


@app.task
async def block_the_loop(seconds: float) -> None:
    note("start")
    time.sleep(seconds)  # noqa: ASYNC251 - this is the fault that is tested


@app.task
def kill_the_process() -> None:
    note("start")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(isolation="process")
def kill_the_child() -> None:
    note("start")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(isolation="process")
def start_grandchildren(seconds: int) -> None:
    """Programs of its own: one in its group, one that has left it, one whose parent is gone."""
    note("start")
    sleep = ["sleep", str(seconds)]
    near = subprocess.Popen(sleep)
    far = subprocess.Popen(sleep, start_new_session=True)
    daemonise = (
        "import subprocess as s, sys\n"
        "print(s.Popen(sys.argv[1:], start_new_session=True, stdout=s.DEVNULL).pid)"
    )
    orphan = subprocess.check_output([sys.executable, "-c", daemonise, *sleep], text=True)
    Path(os.environ["JOURNAL"] + ".pids").write_text(f"{near.pid} {far.pid} {orphan}")
    near.wait()


@app.task
def run_sleep(seconds: int) -> None:
    """A job in a thread that starts a program."""
    program = subprocess.Popen(["sleep", str(seconds)])
    Path(os.environ["JOURNAL"] + ".pids").write_text(f"{program.pid}")
    program.wait()
