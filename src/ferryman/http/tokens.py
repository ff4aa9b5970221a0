"""Signed, short-lived tokens: what a browser may hold in place of a key."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class _Signed(msgspec.Struct, frozen=True):
    purpose: str
    until: float
    body: msgspec.Raw


class Signer(Generic[T]):
    """Signs and reads tokens of one purpose (HMAC-SHA-256).

    Args:
        secret: whoever knows it can make tokens.
        purpose: a token made for another one is not taken.
        kind: what a token carries.
    """

    def __init__(
        self,
        secret: str,
        purpose: str,
        kind: type[T],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key = hashlib.sha256(f"ferryman {purpose} {secret}".encode()).digest()
        self._purpose = purpose
        self._kind: Any = kind
        self._clock = clock

    def sign(self, body: T, seconds: float) -> str:
        """A token that is good for so many seconds; safe in a URL and in a cookie."""
        raw = msgspec.Raw(msgspec.json.encode(body))
        data = msgspec.json.encode(_Signed(self._purpose, self._clock() + seconds, raw))
        return f"{_text(data)}.{_text(self._mac(data))}"

    def read(self, token: str) -> T | None:
        """What a token carries; `None` if it is not ours, was changed, or is over."""
        data, _, mac = token.partition(".")
        try:
            content = _bytes(data)
            if not hmac.compare_digest(self._mac(content), _bytes(mac)):
                return None
            signed = msgspec.json.decode(content, type=_Signed)
            if signed.purpose != self._purpose or signed.until <= self._clock():
                return None
            body: T = msgspec.json.decode(signed.body, type=self._kind)
        except (ValueError, msgspec.DecodeError):
            return None
        return body

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
