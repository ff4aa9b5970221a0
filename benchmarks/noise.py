"""How quiet the machine is: the same loop of work, timed again and again."""

import time
from typing import Final

TURNS: Final = 400_000


def calibration() -> dict[str, float]:
    """Milliseconds that a fixed amount of computing takes at present, and those of CPU in it.

    The first growing tells of neighbours on the machine; the second too of a slower processor.
    """
    began, spent = time.perf_counter(), time.process_time()
    total = 0
    for number in range(TURNS):
        total += number * number % 7
    wall, cpu = time.perf_counter() - began, time.process_time() - spent
    return {"wall_ms": round(wall * 1000, 2), "cpu_ms": round(cpu * 1000, 2)}
