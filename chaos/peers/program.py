"""The processes of a system, in its own environment.

python -m chaos.peers.program NAME settings | prepare | work | produce PREFIX RATE
"""

import asyncio
import importlib
import random
import signal
import sys
from typing import Final

from chaos.peers.base import SAFEST, Peer, write

SHORTEST: Final = 0.1
LONGEST: Final = 1.0
"""Seconds that a job takes."""


async def produce(peer: Peer, prefix: str, rate: float) -> None:
    """Enqueue jobs until SIGTERM, and write down how that went."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await peer.open()
    number = 0
    while not stopped.is_set():
        number += 1
        job = f"{prefix}-{number}"
        write({"act": "enqueue", "number": number, "ids": [job]})
        try:
            await peer.enqueue(job, round(random.uniform(SHORTEST, LONGEST), 3))
        except Exception as error:
            said = {"how": "info", "error": f"{type(error).__name__}: {error}"}
        else:
            said = {"how": "ok"}
        write({"act": "enqueued", "number": number, **said})
        await asyncio.sleep(1 / rate)


def main(name: str, verb: str, *given: str) -> None:
    """Do what is asked of this system."""
    peer: Peer = importlib.import_module(f"chaos.peers.{name}").Peer()
    match verb:
        case "settings":
            print(peer.safest if SAFEST else peer.default)
        case "prepare":
            asyncio.run(peer.prepare())
        case "work":
            peer.work()
        case _:
            asyncio.run(produce(peer, given[0], float(given[1])))


if __name__ == "__main__":
    main(*sys.argv[1:])
