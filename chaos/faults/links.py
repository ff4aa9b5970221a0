"""Faults of the way to a server: late, cut, cut in the middle of calls, a black hole, half open."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Literal

from chaos.faults.base import Fault, valkey_scope
from chaos.history import Scope
from chaos.proxy import Proxy
from chaos.stage import Stage

LATE: Final = 0.1
OUTLASTS: Final = 12.0
"""Seconds: longer than leases, and than a worker may take to notice that nobody answers."""
SHARE: Final = 0.05
"""Of the replies that are lost."""

To = Literal["valkey", "postgresql"]


def _proxy(stage: Stage, to: To) -> tuple[Proxy, Scope]:
    proxy, scope = (stage.link, valkey_scope(stage)) if to == "valkey" else (stage.base, "store")
    assert proxy is not None  # noqa: S101 - the set-up asks for it
    return proxy, scope


@contextlib.contextmanager
def troubled(
    stage: Stage, to: To, what: str, trouble: Callable[[Proxy], None], *, outlasts: bool
) -> Iterator[None]:
    """Do something to the way, and mend it. `outlasts`: leases may end meanwhile."""
    proxy, scope = _proxy(stage, to)
    scope = scope if outlasts else "none"
    with stage.fault(f"{to} {what}", scope, charges=scope == "store"):
        trouble(proxy)
        yield
        proxy.mend()


def _faults(to: To) -> Iterator[Fault]:
    troubles: list[tuple[str, Callable[[Proxy], None], bool]] = [
        ("cut", Proxy.cut, False),
        ("cut in calls", lambda proxy: proxy.cut_in_calls(SHARE), False),
        ("late", lambda proxy: proxy.delay(LATE), False),
        ("black hole", Proxy.stall, True),
        ("half open", Proxy.half_open, True),
    ]
    for what, trouble, outlasts in troubles:
        yield Fault(
            name=f"{to} {what}",
            inject=partial(troubled, to=to, what=what, trouble=trouble, outlasts=outlasts),
            need=to,
            hold=OUTLASTS if outlasts else 2.0,
            setup={"proxied": True},
        )


FAULTS: Final = (*_faults("valkey"), *_faults("postgresql"))
