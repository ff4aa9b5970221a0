"""What a producer is told to do."""

import msgspec

from ferryman.domain.job import PAYLOAD_VERSION


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a producer does.

    Attributes:
        name: begins the ids of its jobs.
        seed: of all that it draws.
        rate: calls in a second.
        jobs: it ends after so many; `None` is: when it is told to.
        mix: tasks and how often each is chosen, in proportion.
        seconds: that a job lasts at most.
        batch: jobs of a call that enqueues many.
        version: of the layout of their arguments.
        extras: whether it also delays, cancels, retries, uses unique keys and transactions.
    """

    name: str
    seed: int
    rate: float
    jobs: int | None = None
    mix: dict[str, int] = msgspec.field(default_factory=lambda: {"work": 1})
    seconds: float = 0.1
    batch: int = 10
    version: int = PAYLOAD_VERSION
    extras: bool = True
