"""`create_app`: the service as an application of its own, which can be mounted into another."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from ferryman import masking
from ferryman.client.client import Client
from ferryman.http import api, auth, dashboard, problems
from ferryman.http.limits import BodyLimit
from ferryman.http.options import HttpOptions
from ferryman.http.origin import SameOrigin
from ferryman.http.service import Service

PREFIX = "/api/v1"


def create_app(app: Client, options: HttpOptions | None = None, /, **changes: Any) -> FastAPI:
    """The service of an application's jobs, as an ASGI application.

    Args:
        app: whose jobs, tasks and store.
        options: see `HttpOptions`; single ones may be given by name: `create_app(app, auth="off")`.

    Raises:
        ConfigError: options that cannot be used.
    """
    chosen = msgspec.structs.replace(options or HttpOptions(), **changes)
    served = FastAPI(
        title="Ferryman",
        version="1",
        description=f"Background jobs. Secrets are shown as `{masking.MASK}`.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
    )
    served.state.service = Service(app, chosen)
    served.dependency_overrides[auth.identify] = _identify(chosen)
    problems.install(served)
    served.include_router(api.router, prefix=PREFIX)
    served.include_router(dashboard.router)
    served.mount("/static", dashboard.static_files())
    served.add_exception_handler(404, dashboard.not_found(served.exception_handlers[HTTPException]))
    served.add_middleware(BodyLimit, most=chosen.max_body)
    served.add_middleware(SameOrigin, allowed=chosen.cors)
    if chosen.cors:
        served.add_middleware(
            CORSMiddleware,
            allow_origins=list(chosen.cors),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "idempotency-key", "last-event-id"],
        )
    return served


@contextlib.asynccontextmanager
async def _lifespan(served: FastAPI) -> AsyncIterator[None]:
    yield
    await served.state.service.close()


def _identify(options: HttpOptions) -> Any:
    match options.auth:
        case "keys":
            return auth.by_key
        case "off":
            return auth.anyone if options.insecure else auth.anyone_here
        case _:
            return options.auth
