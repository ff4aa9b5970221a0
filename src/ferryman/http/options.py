"""How the service is set up."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

MIB = 1024 * 1024


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `create_app` may be told.

    Attributes:
        auth: `"keys"` asks for an API key. `"off"` asks for none, and answers this host alone.
            A callable is a FastAPI dependency of the host's own that gives a `Principal`; it must
            also work for WebSockets, so it takes an `HTTPConnection` and not a `Request`.
        insecure: with `auth="off"`, answer everyone who can reach the service.
        max_body: bytes of a request's body.
        rate, burst: requests a second that one key may make in one process, and how many at
            once; a rate of 0 is: without limit.
        cors: origins whose pages may call the API from a browser; none by default.
    """

    auth: Literal["keys", "off"] | Callable[..., Any] = "keys"
    insecure: bool = False
    max_body: int = 4 * MIB
    rate: float = 100.0
    burst: int = 200
    cors: tuple[str, ...] = ()
