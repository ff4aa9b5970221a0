"""Operators: the keys that let people and programs in, and the record of what they did."""

from datetime import datetime
from typing import Final

import msgspec

KEPT_ACTIONS: Final = 10_000
"""Actions of operators that are kept, the latest ones."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to the HTTP API, without the secret itself.

    Attributes:
        id: its public part, by which it is found and listed.
        digest: the hash of its secret part, as whoever made it wants to compare it.
        name: whom or what it was made for.
        scopes: what it lets its holder do.
        user: if given, the one user whose jobs it is for.
        expires_at, revoked_at: from then on it lets nobody in.
    """

    id: str
    digest: bytes
    name: str = ""
    scopes: tuple[str, ...] = ()
    user: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class OperatorAction(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did: `who` did `verb` (`"cancel"`, `"pause"`, …) to `target`.

    Attributes:
        who: the key's id and name, or whoever the host application says it was.
        target: a job's id, a queue's name, or the filter of a bulk operation.
        detail: what else is worth knowing, such as how many jobs it was about.
        at: when, by the store's clock; the store sets it.
    """

    who: str
    verb: str
    target: str = ""
    detail: str = ""
    at: datetime | None = None


class ActionPage(msgspec.Struct, frozen=True):
    """Some actions of operators, and where to go on (`None`: that was the last page)."""

    actions: tuple[OperatorAction, ...]
    cursor: str | None = None
