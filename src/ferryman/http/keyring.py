"""API keys: made, shown once, kept as a hash, and recognised.

A key is `fk_<id>_<secret>`: the id finds it, the secret (256 bits) proves it. A secret of that size
cannot be guessed, so a plain hash keeps it safe, and costs nothing at every request.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from ferryman.domain.errors import ConfigError
from ferryman.domain.ids import check_key
from ferryman.domain.operators import ApiKey
from ferryman.http.principal import Principal, Scope

PATTERN: Final = re.compile(r"fk_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")
ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789"

REMEMBERED: Final = 1.0
"""Seconds for which a key that was looked up counts: a revoked one lets nobody in after that."""

MOST: Final = 10_000
"""Keys that are remembered at once."""


def new_key(
    name: str,
    scopes: Iterable[str],
    *,
    user: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, ApiKey]:
    """A key that is not kept yet: the text that its holder gets, and the record to keep.

    Raises:
        ConfigError: no scope, or an unknown one.
        InvalidName: a name or a user that cannot be used.
    """
    check_key(name, "name of a key")
    if user is not None:
        check_key(user, "user")
    wanted = tuple(dict.fromkeys(scopes))
    known = ", ".join(Scope)
    if unknown := [scope for scope in wanted if scope not in set(Scope)]:
        raise ConfigError(f"there is no scope {', '.join(unknown)}; there are: {known}")
    if not wanted:
        raise ConfigError(f"a key needs a scope: {known}")
    id = "".join(secrets.choice(ID_LETTERS) for _ in range(12))
    secret = secrets.token_urlsafe(32)
    record = ApiKey(
        id=id, digest=_digest(secret), name=name, scopes=wanted, user=user, expires_at=expires_at
    )
    return f"fk_{id}_{secret}", record


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def is_live(key: ApiKey, now: datetime | None = None) -> bool:
    """Whether a key still lets its holder in."""
    now = now or datetime.now(UTC)
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def principal_of(key: ApiKey) -> Principal:
    """Whom a key stands for."""
    known = set(Scope)
    return Principal(
        name=key.name,
        scopes=frozenset(Scope(scope) for scope in key.scopes if scope in known),
        user=key.user,
        key_id=key.id,
    )


class Keyring:
    """Recognises keys, and remembers for a second what the store said of them.

    Args:
        find: the store's record of a key, by its id.
    """

    def __init__(
        self,
        find: Callable[[str], Awaitable[ApiKey | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    async def recognise(self, text: str) -> Principal | None:
        """Whom a key stands for; `None` if it lets nobody in.

        Raises:
            StoreError: the store cannot say.
        """
        match = PATTERN.fullmatch(text)
        if match is None:
            return None
        key = await self.live(match[1])
        # Compared also where there is no such key: the time of the answer tells nothing.
        known = key.digest if key is not None else bytes(32)
        if hmac.compare_digest(known, _digest(match[2])) and key is not None:
            return principal_of(key)
        return None

    async def live(self, id: str) -> ApiKey | None:
        """The key of this id, as long as it lets its holder in."""
        now = self._clock()
        until, key = self._found.get(id, (now, None))
        if until <= now:
            key = await self._find(id)
            self._found[id] = (now + REMEMBERED, key)
            self._found.move_to_end(id)
            if len(self._found) > MOST:
                self._found.popitem(last=False)
        return key if key is not None and is_live(key) else None

    def forget(self, id: str) -> None:
        """Ask the store anew for this key: it was revoked here."""
        self._found.pop(id, None)
