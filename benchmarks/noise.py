"""How quiet the machine is: the same loop of work, timed again and again."""

import time
from typing import Final

TURNS: Final = 400_000


def calibration() -> float:
    """Milliseconds of wall time that a fixed amount of computing takes at present."""
    began = time.perf_counter()
    total = 0
    for number in range(TURNS):
        total += number * number % 7
    return (time.perf_counter() - began) * 1000
