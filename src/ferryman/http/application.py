"""The service: an application of its own, which can also be mounted into another one."""

from typing import Any

import msgspec
from fastapi import FastAPI

from ferryman.client.client import Client
from ferryman.http import api
from ferryman.http.auth import identify
from ferryman.http.options import HttpOptions
from ferryman.http.principal import Principal, Scope
from ferryman.http.problems import Problem
from ferryman.http.service import Service


def create_app(app: Client, options: HttpOptions | None = None, /, **changes: Any) -> FastAPI:
    """The service of an application's jobs, as an ASGI application.

    Args:
        app: whose jobs, tasks and store.
        options: see `HttpOptions`; single ones may be given by name: `create_app(app, auth="off")`.

    Raises:
        ConfigError: options that cannot be used.
    """
    chosen = msgspec.structs.replace(options or HttpOptions(), **changes)
    served = FastAPI(title="Ferryman", docs_url=None, redoc_url=None)
    served.state.service = Service(app, chosen)
    served.dependency_overrides[identify] = _anyone
    served.add_exception_handler(Problem, _problem)
    served.include_router(api.router, prefix="/api/v1")
    return served


async def _anyone() -> Principal:
    return Principal(name="local", scopes=frozenset({Scope.ADMIN}))


async def _problem(_: Any, error: Any) -> Any:
    return error.response()
