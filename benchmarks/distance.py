"""The same drain with the servers a millisecond away: round trips show."""

import contextlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from benchmarks.peers.base import Work
from benchmarks.proxy import proxied
from benchmarks.stand import Stand
from benchmarks.throughput import drain_once, known_pace
from benchmarks.turn import Reading, Turn, jobs_for

MILLISECONDS: Final = 1.0
CONCURRENCY: Final = 100


def distance(turn: Turn) -> Iterator[Reading]:
    """Drained at concurrency 100, near and behind a proxy that adds 1 ms each way: the share."""
    if turn.system.servers == ("sqlite",):
        return
    jobs = jobs_for(2.5, known_pace(turn))  # where round trips count, it takes ten times as long
    concurrency = min(CONCURRENCY, turn.abilities["most_concurrency"])
    work = Work(kind=turn.kind, concurrency=concurrency)
    rates: dict[str, float] = {}
    for name, milliseconds in (("near", None), ("proxy", 0.0), ("far", MILLISECONDS)):
        with turn.stand() as one, _further(one, milliseconds) as elsewhere:
            rates[name], _, detail = drain_once(one, work, jobs, elsewhere)
        yield Reading(f"distance.{name}", rates[name], detail)
    if rates["near"]:
        yield Reading("distance.share", rates["far"] / rates["near"], detail)


@contextlib.contextmanager
def _further(one: Stand, milliseconds: float | None) -> Iterator[dict[str, str]]:
    """What a worker's environment says of the servers, if they are to be so far away."""
    with contextlib.ExitStack() as stack:
        elsewhere: dict[str, str] = {}
        for name, url in one.environment.items():
            parts = urlsplit(url)
            if milliseconds is None or not parts.port:
                continue
            port = stack.enter_context(proxied("127.0.0.1", parts.port, milliseconds / 1000))
            elsewhere[name] = url.replace(f":{parts.port}", f":{port}")
        yield elsewhere
