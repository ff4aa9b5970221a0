"""An application of which the service is asked, its store, and callers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from ferryman import Ferryman
from ferryman.http import create_app
from ferryman.http.keyring import new_key
from tests.backends import BACKENDS
from tests.http.work import declare


@pytest.fixture
def app(request: pytest.FixtureRequest) -> Any:
    """An application with an empty store."""
    with BACKENDS[getattr(request, "param", "sqlite")](request) as settings:
        made = Ferryman(
            settings.database_url,
            settings.valkey_url,
            namespace=settings.namespace,
            allow=settings.allow,
        )
        declare(made)
        yield made


@pytest.fixture
async def caller(app: Ferryman) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a service that wants no key."""
    served = create_app(app, auth="off", rate=0)
    async with caller_of(served) as client:
        yield client
    await served.state.service.close()


def caller_of(served: Any, key: str = "") -> httpx.AsyncClient:
    """Asks a service from this host, with a key if one is given."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(served, raise_app_exceptions=False),
        base_url="http://localhost/api/v1",
        headers={"authorization": f"Bearer {key}"} if key else {},
    )


@pytest.fixture
async def make_key(app: Ferryman) -> Callable[..., Any]:
    """Makes keys that the store knows."""

    async def make(*scopes: str, user: str | None = None) -> tuple[str, str]:
        text, record = new_key("test", scopes, user=user)
        store = await app.store()
        await store.add_key(record)
        return text, record.id

    return make
