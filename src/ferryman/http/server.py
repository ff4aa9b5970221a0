"""The service as a process of its own: uvicorn, on one port."""

import logging
import socket
from collections.abc import Callable
from typing import Final

import msgspec
import uvicorn

from ferryman.client.client import Client
from ferryman.domain.errors import ConfigError
from ferryman.http.application import create_app
from ferryman.http.auth import is_loopback
from ferryman.http.options import HttpOptions

PORT: Final = 8321

PATIENCE: Final = 5
"""Seconds that requests under way have to end at a stop."""


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service listens; port 0 is: any that is free."""

    host: str = "127.0.0.1"
    port: int = PORT
    log_level: str = "info"


def serve(
    client: Client, options: HttpOptions, where: ServerOptions, ready: Callable[[str], None]
) -> None:
    """Serve until told to stop (SIGTERM, SIGINT).

    Args:
        ready: called with the address once the port is taken.

    Raises:
        ConfigError: the port is taken, or everyone could reach a service that asks for no key.
    """
    refuse_openness(options, where.host)
    taken = _bind(where)
    host = f"[{where.host}]" if ":" in where.host else where.host
    config = uvicorn.Config(
        create_app(client, options),
        log_level=where.log_level,
        access_log=False,  # a stream's address is its permission, and belongs in no log
        log_config=None,
        timeout_graceful_shutdown=PATIENCE,
        server_header=False,
    )
    logging.getLogger("uvicorn.error").setLevel(where.log_level.upper())
    ready(f"http://{host}:{taken.getsockname()[1]}")
    uvicorn.Server(config).run([taken])


def refuse_openness(options: HttpOptions, host: str) -> None:
    """Refuse to answer everyone who asks no matter who they are, unless that was said.

    Raises:
        ConfigError: it would.
    """
    if options.auth == "off" and not options.insecure and not is_loopback(host):
        raise ConfigError(
            f"without keys, whoever reaches {host} could do everything: ask for keys "
            "(--auth keys, and `ferryman keys create`), or say --insecure"
        )


def _bind(where: ServerOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    taken = socket.socket(family)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((where.host, where.port))
        taken.listen()  # whoever is told of the address may come before uvicorn is ready
    except OSError as error:
        taken.close()
        raise ConfigError(
            f"{where.host}:{where.port} cannot be listened to ({error.strerror}): "
            "choose another with --port"
        ) from error
    return taken
