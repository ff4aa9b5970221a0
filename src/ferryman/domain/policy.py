"""What a task asks of its worker: when to try again, how long it may run, where it runs."""

import builtins
import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec

from ferryman.domain.errors import ConfigError

Backoff = Literal["fixed", "linear", "exponential"]

MAX_DELAY: Final = 365 * 86400.0
"""No back-off, delay or snooze is longer than a year (seconds)."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a failed attempt is followed by another. It is plain data, so a job can carry one.

    The n-th retry waits `delays[n-1]` where such an entry is; after the list comes the back-off,
    which counts from its own first step: `base` (fixed), `base * k` (linear) or
    `base * 2 ** (k - 1)` (exponential) seconds, at most `cap`. `delays=(0,)` is therefore "one
    immediate retry, then back-off". With `jitter` a wait is drawn evenly from 0 to that figure
    ("full jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015);
    entries of `delays` are taken as they are.

    Attributes:
        max_attempts: tries in all, the first one included; 1 is: never again.
        on: names of exception types that are retried, base classes included; empty is: all.
        never: names of exception types that are not, even where `on` includes them.
    """

    max_attempts: int = 1
    backoff: Backoff = "exponential"
    base: float = 5.0
    cap: float = 3600.0
    jitter: bool = True
    delays: tuple[float, ...] = ()
    on: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ConfigError(f"max_attempts must be 1 or more, not {self.max_attempts}")
        if self.backoff not in ("fixed", "linear", "exponential"):
            raise ConfigError(f"backoff must be fixed, linear or exponential, not {self.backoff!r}")
        for name, value in [("base", self.base), ("cap", self.cap)] + [
            ("delays", delay) for delay in self.delays
        ]:
            if not 0 <= value <= MAX_DELAY:
                raise ConfigError(f"{name} must lie between 0 and {MAX_DELAY:.0f} s, not {value}")

    def delay(self, attempts: int, uniform: Callable[[float, float], float]) -> float:
        """Seconds to wait after `attempts` failed attempts (1 or more)."""
        if attempts <= len(self.delays):
            return self.delays[attempts - 1]
        step = attempts - len(self.delays)
        wait = min(self.cap, self._grown(step))
        return uniform(0.0, wait) if self.jitter else wait

    def _grown(self, step: int) -> float:
        match self.backoff:
            case "fixed":
                return self.base
            case "linear":
                return self.base * step
            case _:
                # 2 ** 64 is far over any cap, and a float holds it.
                return self.base * 2.0 ** min(step - 1, 64)

    def retries(self, error: BaseException) -> bool:
        """Whether an attempt that ended with `error` may be tried again (attempts aside)."""
        names = {name for kind in type(error).__mro__ for name in _names(kind)}
        if names & set(self.never):
            return False
        return not self.on or bool(names & set(self.on))


def _names(kind: type) -> tuple[str, str]:
    return kind.__qualname__, f"{kind.__module__}.{kind.__qualname__}"


def exception_names(kinds: Sequence[type[BaseException] | str]) -> tuple[str, ...]:
    """Exception types as names: a builtin by its own, any other with its module."""
    return tuple(
        kind
        if isinstance(kind, str)
        else (kind.__qualname__ if kind.__module__ == builtins.__name__ else _names(kind)[1])
        for kind in kinds
    )


def full_jitter(low: float, high: float) -> float:
    """The even draw that `RetryPolicy.delay` uses outside of tests."""
    return random.uniform(low, high)  # noqa: S311 - spreads load, guards nothing


class TaskPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of one task are run; each figure is in seconds or bytes.

    Attributes:
        queue, priority: where a job goes unless the caller says otherwise.
        retry: when to try again.
        timeout: the longest that one attempt may run; `None` is: no limit.
        isolation: `"process"` runs each job in a supervised child process.
        memory_limit: resident bytes of that child and all it started.
        result_ttl: how long a succeeded job and its result are kept.
    """

    queue: str = "default"
    priority: int = 0
    retry: RetryPolicy = RetryPolicy()
    timeout: float | None = None
    isolation: Literal["process"] | None = None
    memory_limit: int | None = None
    result_ttl: float = 86400.0

    def __post_init__(self) -> None:
        # Written so that NaN, which is neither more nor less than anything, does not slip through.
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"timeout must be more than 0 seconds, not {self.timeout}")
        if not 0 <= self.result_ttl < math.inf:
            raise ConfigError(f"result_ttl must be 0 seconds or more, not {self.result_ttl}")
        if self.isolation not in (None, "process"):
            raise ConfigError(f'isolation must be "process" or None, not {self.isolation!r}')
        if self.memory_limit is not None and self.isolation is None:
            raise ConfigError('memory_limit needs isolation="process": only a child can be limited')


_UNITS: Final = {
    "": 1,
    "b": 1,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
}


def parse_bytes(value: Any) -> int:
    """Bytes from `1073741824` or `"1 GiB"`.

    Raises:
        ConfigError: not a positive amount of a known unit.
    """
    digits = str(value).strip().lower().rstrip("kmgib ")
    unit = str(value).strip().lower()[len(digits) :].strip()
    try:
        amount = int(float(digits) * _UNITS[unit])
    except (KeyError, OverflowError, ValueError):
        amount = 0
    if amount <= 0:
        raise ConfigError(f'{value!r} is not an amount of memory: write for example "512 MiB"')
    return amount
