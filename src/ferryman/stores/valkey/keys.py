"""Every key that the Valkey store uses, and how long it lives.

All keys of a queue share one hash tag and so one slot of a cluster: `ferryman:{ocr}:jobs`. What
belongs to no queue (the names of the queues, the workers) lives under the tag `*`, which no queue
can be called. The scripts get these very names: `lua_names` writes them out for the loader.

Two hashes hold all jobs of a queue that have not ended, since a key a job would cost more memory
than the job itself. A job's changing state (`state`) exists from its first change on: what is
only queued or scheduled is one field of `jobs` and one entry of its list or sorted set.
"""

from enum import StrEnum
from typing import Final, Literal

from ferryman.domain.ids import check_name


class Lifetime(StrEnum):
    """How a key goes away."""

    PERMANENT = "permanent"
    """It holds live data, or is emptied with the jobs that it lists; its size is theirs."""
    EXPIRING = "expiring"
    """It always has a time to live."""
    RECORD = "record"
    """It has a time to live where its job has one; a dead letter is kept until it is pruned."""


QUEUE_KEYS: Final = {
    "meta": Lifetime.PERMANENT,  # hash: known, paused, claimed (a count)
    "jobs": Lifetime.PERMANENT,  # hash: id -> specification, of jobs that have not ended
    "state": Lifetime.PERMANENT,  # hash: id -> state, of those among them that changed
    "prios": Lifetime.PERMANENT,  # zset: priority -> itself, where a ready list may have entries
    "due": Lifetime.PERMANENT,  # zset: id -> when it is due, of scheduled jobs
    "held": Lifetime.PERMANENT,  # zset: id -> since when it waits, of waiting jobs
    "expiry": Lifetime.PERMANENT,  # zset: id -> when it expires, of jobs that may still start
    "late": Lifetime.PERMANENT,  # zset: id -> when it expired, of jobs that claims passed over
    "unique": Lifetime.PERMANENT,  # hash: unique key -> id of the live job that holds it
    "leases": Lifetime.PERMANENT,  # zset: worker -> end of its lease
    "holders": Lifetime.PERMANENT,  # set: workers that have jobs running
    "ttl": Lifetime.PERMANENT,  # zset: id -> when the ended job is to be deleted
    "wake": Lifetime.EXPIRING,  # list: at most one token for a worker that waits
    "heard": Lifetime.EXPIRING,  # string: somebody follows the feed, since this moment
    "feed": Lifetime.EXPIRING,  # stream: events, while somebody follows the feed
    # Where the queue is a lane to the jobs of a database, it has these and "wake" only:
    "lanes": Lifetime.PERMANENT,  # zset: priority -> itself, where a lane may have entries
    "taken": Lifetime.PERMANENT,  # zset: entry -> when it is put back, unless it was settled
    "halted": Lifetime.EXPIRING,  # string: the queue is paused in the database
}
"""Each queue's own keys, by what follows `<namespace>:{<queue>}:`."""

QUEUE_FAMILIES: Final = {
    "ready": Lifetime.PERMANENT,  # ready:<priority>, list: entries of queued jobs
    "ended": Lifetime.PERMANENT,  # ended:<state>, zset: id -> when it ended
    "run": Lifetime.PERMANENT,  # run:<worker>, zset: id -> its place
    "stop": Lifetime.PERMANENT,  # stop:<worker>, hash: id -> token, of jobs asked to stop
    "rouse": Lifetime.EXPIRING,  # rouse:<worker>, list: a token for it alone, to wait no more
    "lane": Lifetime.PERMANENT,  # lane:<priority>, zset: id -> position, of queued jobs
    "end": Lifetime.RECORD,  # end:<id>, string: the record of an ended job
    "figures": Lifetime.EXPIRING,  # figures:<step>:<at>, hash: number of a measure -> its value
    "log": Lifetime.RECORD,  # log:<id>, list: the lines that a job logged
}
"""Kinds of keys with a further part, by what stands before it."""

CHANNEL: Final = "done"
"""`done:<id>` is no key but the channel on which a job's end is told."""

SHARED_KEYS: Final = {
    "queues": Lifetime.PERMANENT,  # set: the names of all queues
    "workers": Lifetime.PERMANENT,  # hash: worker -> its description
    "leases": Lifetime.PERMANENT,  # zset: worker -> end of its lease
    "epoch": Lifetime.PERMANENT,  # string: the run of the server in which the lanes were filled
    "filling": Lifetime.EXPIRING,  # string: who fills the lanes
    "probe": Lifetime.EXPIRING,  # string: somebody wrote, to see whether that works
    "heard": Lifetime.EXPIRING,  # string: somebody follows the feed
    "apikeys": Lifetime.PERMANENT,  # hash: id -> API key
    "actions": Lifetime.PERMANENT,  # stream: what operators did, of bounded length
    "watch": Lifetime.EXPIRING,  # string: who compares the lanes with the database
}
SHARED_FAMILIES: Final = {
    "joined": Lifetime.PERMANENT,  # joined:<worker>, set: the queues that know its lease
}
"""The keys under the tag `*`."""


class Keys:
    """The prefixes of one namespace. Every script gets one as its only key and builds on it."""

    def __init__(self, namespace: str) -> None:
        self._namespace = check_name(namespace, "namespace")
        self._prefixes: dict[str, str] = {}
        self.shared: Final = f"{namespace}:{{*}}:"

    def queue(self, queue: str) -> str:
        """The prefix of a queue's keys.

        Raises:
            InvalidName: a name that could leave the queue's slot, or the namespace.
        """
        prefix = self._prefixes.get(queue)
        if prefix is None:
            prefix = f"{self._namespace}:{{{check_name(queue, 'queue')}}}:"
            self._prefixes[queue] = prefix
        return prefix

    def wake(self, queue: str) -> str:
        """The list on which workers wait for a queue."""
        return f"{self.queue(queue)}wake"

    def rouse(self, queue: str, packed_id: bytes) -> bytes:
        """The list on which a worker waits for no job, but to be told to wait no more."""
        return f"{self.queue(queue)}rouse:".encode() + packed_id

    def done(self, queue: str, packed_id: bytes) -> bytes:
        """The channel that tells the end of a job."""
        return f"{self.queue(queue)}{CHANNEL}:".encode() + packed_id


def lifetime(namespace: str, key: bytes) -> Lifetime | None:
    """The declared lifetime of a key as a server lists it; `None` if no declaration fits."""
    head, brace, tail = key.partition(b"}:")
    if not brace or not head.startswith(f"{namespace}:{{".encode()):
        return None
    shared = head.endswith(b"{*")
    keys, families = (SHARED_KEYS, SHARED_FAMILIES) if shared else (QUEUE_KEYS, QUEUE_FAMILIES)
    name, colon, _ = tail.partition(b":")
    table = families if colon else keys
    return table.get(name.decode("ascii", "replace"))


def lua_names(place: Literal["queue", "shared"]) -> dict[str, str]:
    """What scripts call these keys: `JOBS` for `jobs`, and `END_` for `end:` before an id."""
    if place == "shared":
        keys, families = list(SHARED_KEYS), list(SHARED_FAMILIES)
    else:
        keys, families = list(QUEUE_KEYS), [*QUEUE_FAMILIES, CHANNEL]
    return {key.upper(): key for key in keys} | {f"{key.upper()}_": f"{key}:" for key in families}
