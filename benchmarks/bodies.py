"""What the jobs do: the same functions for every system, in an async and a sync form.

All take the arguments of a receipt: its number (which is the job's slot in the ledger), the path
of its picture and its user.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from benchmarks.ledger import own

NAP: Final = 0.05
"""Seconds that `nap` waits."""

BURN: Final = 0.02
"""Seconds of CPU that `burn` takes."""


async def noop_async(number: int, path: str, user: int) -> None:
    """Nothing."""
    ledger = own()
    ledger.begin(number)
    ledger.end(number)


def noop_sync(number: int, path: str, user: int) -> None:
    """Nothing."""
    ledger = own()
    ledger.begin(number)
    ledger.end(number)


async def nap_async(number: int, path: str, user: int) -> None:
    """Wait, as for a provider's answer."""
    ledger = own()
    ledger.begin(number)
    await asyncio.sleep(NAP)
    ledger.end(number)


def nap_sync(number: int, path: str, user: int) -> None:
    """Wait, as for a provider's answer."""
    ledger = own()
    ledger.begin(number)
    time.sleep(NAP)
    ledger.end(number)


async def burn_async(number: int, path: str, user: int) -> None:
    """Compute."""
    _burn(number)


def burn_sync(number: int, path: str, user: int) -> None:
    """Compute."""
    _burn(number)


def _burn(number: int) -> None:
    ledger = own()
    ledger.begin(number)
    until = time.thread_time() + BURN
    while time.thread_time() < until:
        pass
    ledger.end(number)


async def receipt_async(number: int, path: str, user: int) -> dict[str, Any]:
    """Nothing, with a result."""
    return _receipt(number)


def receipt_sync(number: int, path: str, user: int) -> dict[str, Any]:
    """Nothing, with a result."""
    return _receipt(number)


def _receipt(number: int) -> dict[str, Any]:
    ledger = own()
    ledger.begin(number)
    ledger.end(number)
    return {"merchant": "Corner Shop", "total": 12.8, "currency": "EUR", "lines": 3}


def arguments(number: int) -> tuple[int, str, int]:
    """The arguments of the job `number`."""
    return number, "receipts/abc.jpg", 1


TASKS: Final[dict[str, Callable[..., Any]]] = {
    function.__name__: function
    for function in (
        noop_async,
        noop_sync,
        nap_async,
        nap_sync,
        burn_async,
        burn_sync,
        receipt_async,
        receipt_sync,
    )
}
"""All of them by name; a system registers those whose kind it can run."""


def of_kind(kind: str) -> dict[str, Callable[..., Any]]:
    """The async ones, or the sync ones."""
    return {name: function for name, function in TASKS.items() if name.endswith(f"_{kind}")}
