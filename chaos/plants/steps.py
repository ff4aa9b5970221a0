"""Steps: what a client is told to do."""

from typing import Literal

import msgspec

Act = Literal["enqueue", "roll back", "cancel", "pause", "resume", "wait", "mark"]


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to do.

    Attributes:
        task, seconds: of the jobs to enqueue; their ids are `name-1` and so on.
        count: how many, each by a call of its own unless they go `together`.
        unique, conflict: the key that they ask for, and what is to come of a conflict.
        delay, expires: seconds until they are due, and until they may start no more.
        job: whom to cancel.
        pause: seconds to wait when it is done.
    """

    do: Act
    name: str = "j"
    task: str = "work"
    seconds: float = 0.1
    count: int = 1
    together: bool = False
    priority: int = 0
    unique: str | None = None
    conflict: Literal["refuse", "return"] = "refuse"
    delay: float = 0.0
    expires: float = 0.0
    job: str = ""
    pause: float = 0.0
