"""The figures of the hybrid store; all times are in seconds."""

from typing import Final

import msgspec


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """How long the lane may take, and how soon it is trusted again.

    Attributes:
        enqueue_wait: that an enqueue waits for its push at most; the push goes on without it.
        call_limit: that a call to the lane may take before it counts as down.
        hold: that a taken id is held for a worker that says no more about it.
        settle_after: that the settling of taken ids waits for a call to share.
        fill_every: between two looks into the database by a worker that gets too little from the
            lane. A look that found something is followed by the next at once.
        sweep_every: between two looks whether the lane lost something.
        probe_first, probe_longest: the first and the longest pause between two tries of a lane
            that is down, each with jitter.
        steady: that the lane must have answered every try before it is used again. It doubles
            each time that the lane goes down soon after, up to `steady_longest`.
    """

    enqueue_wait: float = 0.05
    call_limit: float = 1.0
    hold: float = 5.0
    settle_after: float = 0.5
    fill_every: float = 0.5
    sweep_every: float = 0.8
    probe_first: float = 0.25
    probe_longest: float = 2.0
    steady: float = 2.0
    steady_longest: float = 30.0


DEFAULT: Final = Tuning()
