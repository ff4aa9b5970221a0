"""See Ferryman at work: real receipts, a real OCR engine, and a killed process if you like.

    make demo                       or: python -m examples.receipts.demo
    make demo KILL=1                    python -m examples.receipts.demo --kill

Draws receipts, enqueues them, runs a worker, shows its progress, and checks the promises: nothing
lost, nothing stored twice. The exit code is 1 if one of them is broken.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from examples.receipts import pictures, report
from examples.receipts.dashboard import dashboard
from examples.receipts.fleet import ROOT, Fleet, WorkerStopped, sensible_concurrency
from examples.receipts.ledger import Ledger
from examples.receipts.run import Order, Run
from ferryman import Ferryman

FOLDER = Path(".ferryman/receipts")
NOT_A_PICTURE = b"<!doctype html><title>404</title>The picture that you asked for is not here.\n"
DEADLINE = 240.0
"""Seconds after which the demo gives up."""


def main() -> int:
    """Run the demo; the process's exit code."""
    given = _arguments()
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with _own_folder() as folder, _store(given.store, folder):
            return _demonstrate(console, folder, given)
    except KeyboardInterrupt:
        console.print("\nStopped; no process is left behind.")
        return 130
    except (TimeoutError, WorkerStopped) as error:
        console.print(
            f"{error}\nThe worker's log: {FOLDER / 'worker.log'}", style="red", markup=False
        )
        return 1


STORES = ("hybrid", "sqlite", "valkey")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description="Read real receipts.")
    parser.add_argument("--count", type=int, default=24, help="receipts to read (default: 24)")
    parser.add_argument("--seed", type=int, default=2026, help="which receipts are drawn")
    parser.add_argument("--concurrency", type=int, default=sensible_concurrency())
    parser.add_argument("--store", choices=STORES, default="hybrid")
    parser.add_argument(
        "--kill", nargs="?", choices=("child", "worker"), const="child",
        help="SIGKILL the child that reads a receipt, or the worker with all of its processes",
    )  # fmt: skip
    return parser.parse_args()


def _demonstrate(console: Console, folder: Path, given: argparse.Namespace) -> int:
    began = time.monotonic()
    truths = pictures.save(folder / "pictures", given.count, given.seed)
    console.print(f"Drew {given.count} receipts in {time.monotonic() - began:.1f} s.")
    ledger = Ledger(folder / "ledger.db")
    ledger.create()
    with contextlib.closing(Ferryman()) as app:
        run = Run(app, ledger, _orders(folder, list(truths)), kill=given.kill)
        run.enqueue()
        with dashboard(folder / "dashboard.log") as address:
            report.introduce(console, run, given.concurrency)
            console.print(f"Follow them at {address}\n", highlight=False)
            with Fleet(given.concurrency, folder / "worker.log") as fleet:
                with report.live(console, run):
                    run.watch(fleet, DEADLINE)
                run.left_behind = len(fleet.stop())
        run.take_down()
    return report.conclude(console, run, truths, folder)


def _orders(folder: Path, names: list[str]) -> list[Order]:
    """The receipts, every third of them urgent to someone, and two that go wrong."""
    orders = [
        Order(f"receipt-{Path(name).stem}", folder / "pictures" / name, high=number % 3 == 2)
        for number, name in enumerate(names)
    ]
    broken = folder / "pictures" / "broken.jpg"
    broken.write_bytes(NOT_A_PICTURE)
    orders[-1].hide()
    return [*orders, Order("receipt-broken", broken, high=False)]


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    """An empty folder for this run; of two demos at once in the same place, one is refused."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FOLDER.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another demo is running in {FOLDER.absolute()}")
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        yield FOLDER.absolute()


@contextlib.contextmanager
def _store(kind: str, folder: Path) -> Iterator[None]:
    """Name the store for this process and the worker, as a deployment does: by environment."""
    for name in ("FERRYMAN_DATABASE_URL", "FERRYMAN_VALKEY_URL"):
        os.environ.pop(name, None)
    os.environ["RECEIPTS_FOLDER"] = str(folder)
    with contextlib.ExitStack() as stack:
        if kind != "sqlite":
            from ferryman.embedded import valkey_server

            os.environ["FERRYMAN_VALKEY_URL"] = stack.enter_context(valkey_server(folder))
        if kind != "valkey":
            os.environ["FERRYMAN_DATABASE_URL"] = f"sqlite:///{folder / 'jobs.db'}"
            migrate = [sys.executable, "-m", "ferryman", "migrate"]
            subprocess.run(migrate, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        yield


if __name__ == "__main__":
    sys.exit(main())
