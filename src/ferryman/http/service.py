"""What all routes of one service share."""

from starlette.requests import HTTPConnection

from ferryman.client.client import Client
from ferryman.http.options import HttpOptions
from ferryman.stores import JobStore


class Service:
    """One application's jobs, and how they are served."""

    def __init__(self, client: Client, options: HttpOptions) -> None:
        self.client = client
        self.options = options

    async def store(self) -> JobStore:
        """The open store of this loop.

        Raises:
            StoreUnavailable: its server cannot be reached.
        """
        return await self.client.store()


def service_of(connection: HTTPConnection) -> Service:
    """The service that a request or a WebSocket came to; also a FastAPI dependency."""
    service: Service = connection.app.state.service
    return service
