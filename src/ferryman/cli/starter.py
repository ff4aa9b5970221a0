"""A first application for Ferryman: three tasks to try, and to replace by your own.

Run it:           ferryman dev {module}:app
Ask for a job:    ferryman enqueue greet --app {module}:app --args '{"name": "Ada"}' --wait
From your code:   from {module} import greet; job = greet.enqueue("Ada"); job.result(timeout=10)
"""

import time

from ferryman import Ferryman, Retry, current_job

# Jobs are kept in FERRYMAN_DATABASE_URL or FERRYMAN_VALKEY_URL, else in .ferryman/ beside you.
app = Ferryman()


@app.task
def greet(name: str) -> str:
    """The smallest of tasks: a function of plain values."""
    return f"Hello, {name}!"


@app.task(timeout=600)
def count(to: int) -> int:
    """A long one that tells how far it is: `ferryman jobs watch ID`."""
    job = current_job()
    for step in range(1, to + 1):
        time.sleep(0.5)  # the work
        job.progress(step, to, f"counted to {step}")
    return to


@app.task(queue="sums", retry=Retry(max_attempts=3, base=1, cap=10))
def divide(a: float, b: float) -> float:
    """By 0 it fails three times, and is a dead letter then: `ferryman dead-letters list`."""
    return a / b
