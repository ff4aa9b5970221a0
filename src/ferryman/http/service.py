"""What all routes of one service share."""

import secrets
import signal

import msgspec
from starlette.requests import HTTPConnection

from ferryman.client.client import Client
from ferryman.domain.operators import ApiKey, OperatorAction
from ferryman.http.hub import Hub, Wish
from ferryman.http.keyring import Keyring
from ferryman.http.limits import RateLimit
from ferryman.http.options import HttpOptions
from ferryman.http.principal import Principal
from ferryman.http.tokens import Signer
from ferryman.http.views import Views
from ferryman.stores import JobStore


class Grant(msgspec.Struct, frozen=True):
    """What somebody may follow, and whose key allowed it."""

    wish: Wish
    key_id: str = ""


class Service:
    """One application's jobs, and how they are served.

    Attributes:
        views: makes what is shown of records.
        keyring: recognises API keys.
        rate: counts the requests of each key.
        refusals: counts the failed attempts of each host to be let in.
        sessions: signs what a browser that signed in holds.
        grants: signs what a browser that follows jobs without a key holds.
        hub: reads the feed for all streams.
    """

    def __init__(self, client: Client, options: HttpOptions) -> None:
        self.client = client
        self.options = options
        self.secret = client.settings.secret or secrets.token_urlsafe(32)
        self.views = Views(client)
        self.keyring = Keyring(self._find_key)
        self.rate = RateLimit(options.rate, options.burst)
        self.refusals = RateLimit(1.0, 20)
        self.sessions = Signer(self.secret, "session", Principal)
        self.grants = Signer(self.secret, "stream", Grant)
        self.hub = Hub(self.store, self.views, self.closing)
        self._closed = False

    def closing(self) -> bool:
        """Whether the service, or the server that it runs in, shuts down."""
        return self._closed or server_leaves()

    async def close(self) -> None:
        """End what is under way, and let go of the store."""
        self._closed = True
        await self.hub.close()
        await self.client.aclose()

    async def store(self) -> JobStore:
        """The open store of this loop.

        Raises:
            StoreUnavailable: its server cannot be reached.
        """
        return await self.client.store()

    async def record(self, who: Principal, verb: str, target: str, detail: str = "") -> None:
        """Write down what an operator did."""
        store = await self.store()
        name = f"{who.name} ({who.key_id})" if who.key_id else who.name
        await store.record(OperatorAction(who=name, verb=verb, target=target, detail=detail))

    async def session(self, token: str) -> Principal | None:
        """Who holds a session's token, as long as the key that it was made with is good."""
        return await self.still(self.sessions.read(token))

    async def still(self, who: Principal | None) -> Principal | None:
        """`who`, as long as their key was not revoked."""
        if who is None or not who.key_id:
            return who
        return who if await self.keyring.live(who.key_id) else None

    async def granted(self, token: str) -> Grant | None:
        """What a token lets its holder follow, as long as the key that it was made with is good."""
        grant = self.grants.read(token)
        if grant is None or not grant.key_id:
            return grant
        return grant if await self.keyring.live(grant.key_id) else None

    async def _find_key(self, id: str) -> ApiKey | None:
        store = await self.store()
        return await store.key(id)


def server_leaves() -> bool:
    """Whether the uvicorn server that handles this process's signals was told to stop.

    It waits for open streams to end before it tells an application of it, and tells a mounted one
    nothing at all; so it is asked.
    """
    handlers = map(signal.getsignal, (signal.SIGTERM, signal.SIGINT))
    servers = (getattr(handler, "__self__", None) for handler in handlers)
    return any(getattr(server, "should_exit", False) is True for server in servers)


def service_of(connection: HTTPConnection) -> Service:
    """The service that a request or a WebSocket came to; also a FastAPI dependency."""
    service: Service = connection.app.state.service
    return service
