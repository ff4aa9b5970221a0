"""Faults of the Valkey server, be it the lane of a database or what keeps the jobs."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chaos.faultlines import ALL
from chaos.faults.base import LEASES, Fault, repeated, valkey_scope
from chaos.proxy import Proxy
from chaos.servers import Valkey, until
from chaos.stage import Stage

ROOM: Final = 256 * 1024
"""Bytes between what is used and a memory limit."""
POPULATED: Final = 1_500_000
"""Keys that a server has to load."""
WINDOW: Final = 1.5
"""Seconds at most between a write and its sync: one, and what the sync itself may take."""


def _server(stage: Stage) -> Valkey:
    assert stage.valkey is not None  # noqa: S101 - the fault applies only where there is one
    return stage.valkey


@contextlib.contextmanager
def restarted(stage: Stage) -> Iterator[None]:
    """SIGKILL of the server, and a start with what it had on disk."""
    server, scope = _server(stage), valkey_scope(stage)
    with stage.fault("valkey restarted", scope, charges=scope == "store"):
        server.kill()
        yield
        server.start()


@contextlib.contextmanager
def frozen(stage: Stage) -> Iterator[None]:
    """SIGSTOP of the server past the leases."""
    server, scope = _server(stage), valkey_scope(stage)
    with stage.fault("valkey frozen", scope, charges=scope == "store"):
        server.freeze()
        yield
        server.thaw()


@contextlib.contextmanager
def clients_killed(stage: Stage) -> Iterator[None]:
    """`CLIENT KILL` of all clients, ten times a second."""
    server = _server(stage)
    with (
        stage.fault("valkey clients killed", "none"),
        repeated(lambda: server.command("CLIENT", "KILL", "TYPE", "normal"), 0.1),
    ):
        yield


@contextlib.contextmanager
def scripts_flushed(stage: Stage) -> Iterator[None]:
    """`SCRIPT FLUSH`, twenty times a second."""
    server = _server(stage)
    with (
        stage.fault("valkey scripts flushed", "none"),
        repeated(lambda: server.command("SCRIPT", "FLUSH"), 0.05),
    ):
        yield


@contextlib.contextmanager
def full(stage: Stage, room: int = ROOM) -> Iterator[None]:
    """A memory limit just above what is used, or below it: new jobs are refused."""
    server = _server(stage)
    with stage.fault("valkey full", "none"):
        server.command("CONFIG", "SET", "maxmemory", int(server.info("used_memory")) + room)
        yield
        server.command("CONFIG", "SET", "maxmemory", 0)


@contextlib.contextmanager
def evicting(stage: Stage) -> Iterator[None]:
    """`allkeys-lru` with less memory than is used: the lane loses keys, and nobody is told."""
    server = _server(stage)
    with stage.fault("lane evicting", "none"):
        server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.command("CONFIG", "SET", "maxmemory", int(server.info("used_memory")) // 2)
        yield
        server.command("CONFIG", "SET", "maxmemory", 0)
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")


@contextlib.contextmanager
def flushed(stage: Stage) -> Iterator[None]:
    """`FLUSHALL`: of a lane, which loses nothing, or of all that there is."""
    lane = stage.deployment.lane
    with stage.fault(
        "flushed", valkey_scope(stage), charges=not lane, forgets=0.0 if lane else ALL
    ):
        _server(stage).command("FLUSHALL")
    yield


@contextlib.contextmanager
def power_failed(stage: Stage) -> Iterator[None]:
    """SIGKILL, and the last second of the append-only file is gone: it was never synced."""
    server = _server(stage)
    sizes: list[tuple[float, Path, int]] = []

    def look() -> None:
        file = max(server.folder.glob("appendonlydir/*.incr.aof"))
        sizes.append((time.monotonic(), file, file.stat().st_size))

    with repeated(look, 0.02):
        until(lambda: len(sizes) > 1 and sizes[-1][0] - sizes[0][0] >= 1.0, 10, "a second has gone")
    with stage.fault("valkey power failure", "store", charges=True, forgets=WINDOW):
        server.kill()
        _, file, size = sizes[0]
        if sizes[-1][1] == file:
            with file.open("ab") as log:
                log.truncate(size)
        yield
        server.start()


@contextlib.contextmanager
def _replica(stage: Stage) -> Iterator[tuple[Valkey, Proxy]]:
    """A replica that is in step, and the way to it from the master."""
    way = Proxy(_server(stage).port)
    replica = Valkey(
        stage.folder / f"replica-{time.monotonic_ns()}",
        durable=not stage.deployment.lane,
        replicaof=f"127.0.0.1 {way.port}",
    )
    replica.start()
    until(lambda: replica.info("master_link_status") == "up", 30, "the replica is in step")
    yield replica, way
    way.close()


@contextlib.contextmanager
def failed_over(stage: Stage) -> Iterator[None]:
    """The master dies, and a replica that was in step takes its place behind the same address."""
    with _replica(stage) as (replica, _):
        master, scope = _server(stage), valkey_scope(stage)
        with stage.fault("valkey failed over", scope, charges=scope == "store", forgets=0.5):
            master.command("WAIT", 1, 1000)
            master.kill()
            yield
            _promote(stage, replica)


@contextlib.contextmanager
def partitioned(stage: Stage) -> Iterator[None]:
    """The master goes on alone for a while; then it dies, and its replica knows none of that."""
    with _replica(stage) as (replica, way):
        master, scope = _server(stage), valkey_scope(stage)
        way.stall()
        began = time.monotonic()
        stage.wait(2.0)
        lost = time.monotonic() - began + WINDOW
        with stage.fault("valkey partitioned", scope, charges=scope == "store", forgets=lost):
            master.kill()
            yield
            _promote(stage, replica)


def _promote(stage: Stage, replica: Valkey) -> None:
    replica.command("REPLICAOF", "NO", "ONE")
    assert stage.link is not None  # noqa: S101 - the set-up asks for it
    stage.use_valkey(replica)
    stage.link.retarget(replica.port)


@contextlib.contextmanager
def loading(stage: Stage) -> Iterator[None]:
    """A restart with 1.5 million keys: for some seconds it answers `LOADING`."""
    server, scope = _server(stage), valkey_scope(stage)
    server.command("DEBUG", "POPULATE", POPULATED)
    if stage.deployment.lane:
        server.command("SAVE")
    else:
        server.command("BGREWRITEAOF")
        until(lambda: server.info("aof_rewrite_in_progress") == "0", 60, "it is written", 0.1)
    with stage.fault("valkey loading", scope, charges=scope == "store"):
        server.kill()
        server.start()
        yield


FAULTS: Final = (
    Fault(name="valkey restarted", inject=restarted, need="valkey", hold=0.3),
    Fault(name="valkey frozen", inject=frozen, need="valkey", leases=LEASES),
    Fault(name="valkey clients killed", inject=clients_killed, need="valkey", hold=3.0),
    Fault(name="valkey scripts flushed", inject=scripts_flushed, need="valkey", hold=2.0),
    Fault(name="valkey full", inject=full, need="valkey", hold=3.0),
    Fault(name="lane evicting", inject=evicting, need="lane", hold=3.0),
    Fault(name="lane flushed", inject=flushed, need="lane", hold=1.0),
    Fault(name="all flushed", inject=flushed, need="record", hold=1.0, power=True, joins=False),
    Fault(
        name="valkey power failure",
        inject=power_failed,
        need="record",
        hold=0.3,
        power=True,
        joins=False,
    ),
    Fault(
        name="valkey failed over",
        inject=failed_over,
        need="valkey",
        hold=0.5,
        setup={"proxied": True},
        power=True,
        joins=False,
    ),
    Fault(
        name="valkey partitioned",
        inject=partitioned,
        need="valkey",
        hold=0.5,
        setup={"proxied": True},
        power=True,
        joins=False,
    ),
    Fault(name="valkey loading", inject=loading, need="valkey", hold=1.0, joins=False),
)
