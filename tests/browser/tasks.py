"""The tasks of the pages' tests, which wait for what the tests say."""

import threading
from collections import defaultdict
from typing import Any

from ferryman import Ferryman, Permanent, Secret, current_job

WORD = "correct-horse-battery"
"""A secret, which no page may show."""

gates: dict[str, threading.Event] = defaultdict(threading.Event)
"""What a running job waits for."""


def declare(app: Ferryman) -> None:
    """Register the tasks."""

    @app.task(queue="letters")
    def read_letter(number: int, path: str = "", password: str = "") -> dict[str, Any]:
        if path == "missing.jpg":
            raise Permanent(f"letter {number} has no picture; tried with password={password}")
        return {"number": number, "pages": 1}

    @app.task(queue="films")
    def render(name: str, key: Secret[str] = WORD) -> str:
        job = current_job()
        for frame in range(1, 4):
            job.progress(frame, 3, f"frame {frame}")
            job.log.info(f"frame {frame} of {name} is there; the key was {key}")
            gates[f"{name}-{frame}"].wait(20)
        return name
