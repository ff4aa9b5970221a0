"""Who asks, and what they may."""

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What a key allows its holder."""

    READ = "read"
    """See jobs, queues, workers and their events."""
    ENQUEUE = "enqueue"
    """Ask for jobs."""
    OPERATE = "operate"
    """Pause, resume and purge queues; with `read`, cancel, retry and discard jobs."""
    ADMIN = "admin"
    """All of these, and make and revoke keys."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who was recognised.

    Attributes:
        name: shown in the record of operator actions; tells callers without an API key apart.
        scopes: what they may; `admin` is all of it.
        user: they see and touch the jobs of this user only; `None` is: of all.
        key_id: the API key they came with; empty where there is none.
    """

    name: str
    scopes: frozenset[Scope]
    user: str | None = None
    key_id: str = ""

    def may(self, scope: Scope) -> bool:
        """Whether they hold `scope`."""
        return scope in self.scopes or Scope.ADMIN in self.scopes
