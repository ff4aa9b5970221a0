"""Whether a server can keep the store's promises: what is asked at the start and in a check-up."""

from collections.abc import Collection
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from ferryman.domain.errors import StoreError, StoreFull, StoreUnavailable, StoreUnsafe
from ferryman.stores.base import Finding
from ferryman.stores.valkey import calls
from ferryman.stores.valkey.connection import Link

OLDEST_REDIS: Final = (7, 0)
OLDEST_VALKEY: Final = (7, 2)
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class Examined(NamedTuple):
    """What a server says of itself; "" is: it does not tell this user."""

    address: str
    name: str
    version: str
    mode: str
    role: str
    policy: str
    maxmemory: int
    aof: str
    fsync: str


async def examine(link: Link, *, repeat: bool = True) -> Examined:
    """Ask the server.

    Args:
        repeat: ask again, after a pause, where it cannot be reached.

    Raises:
        StoreUnavailable: it cannot be reached.
    """
    about = await _info(link, repeat)
    name = "Valkey" if about.get("valkey_version") else "Redis"
    return Examined(
        address=link.shown,
        name=name,
        version=about.get("valkey_version") or about.get("redis_version", ""),
        mode=about.get("redis_mode", ""),
        role=about.get("role", ""),
        policy=about.get("maxmemory_policy", ""),
        maxmemory=int(about.get("maxmemory", "0")),
        aof=about.get("aof_enabled", ""),
        fsync=await _config(link, "appendfsync", repeat),
    )


async def _info(link: Link, repeat: bool) -> dict[str, str]:
    """The server's description of itself; empty where this user may not ask for it."""
    try:
        reply = await link.run(calls.command("INFO"), repeat=repeat)
    except (StoreUnavailable, StoreFull):
        raise
    except StoreError:
        await link.run(calls.command("PING"), repeat=repeat)  # a refused login is no refused INFO
        return {}
    lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
    return {key: value for key, colon, value in lines if colon}


async def _config(link: Link, name: str, repeat: bool) -> str:
    try:
        reply = await link.run(calls.command("CONFIG", "GET", name), repeat=repeat)
    except StoreUnavailable:
        raise
    except StoreError:
        return ""  # managed servers forbid CONFIG
    return reply[1].decode() if len(reply) > 1 else ""


def refuse_unsafe(server: Examined, allow: Collection[str] = ()) -> None:
    """Refuse a server on which jobs would be lost, but for what is allowed.

    Raises:
        StoreUnsafe: the message says how to mend it.
    """
    for finding in (_version(server), _topology(server), _policy(server), _durability(server)):
        if finding.level == "error" and finding.allow not in allow:
            instead = f", or allow it: FERRYMAN_ALLOW={finding.allow}" if finding.allow else ""
            text = f"the server at {server.address}: {finding.what}. {finding.mend}{instead}"
            raise StoreUnsafe(text)


def findings(server: Examined, url: str) -> list[Finding]:
    """The check-up of a server that is reached by `url`."""
    return [
        _version(server),
        _topology(server),
        _policy(server),
        _memory(server),
        _durability(server),
        _access(url),
    ]


def lane_findings(server: Examined, url: str | None) -> list[Finding]:
    """The check-up of a server that only delivers: what it loses is in the database."""
    settings = (_policy(server), _durability(server))
    harmless = any(finding.level != "ok" for finding in settings)
    what = "the lane may lose ids (it evicts, or keeps no file): the database puts them back"
    kept = [Finding("warning", what, settings[0].mend)] if harmless else []
    return [_version(server), _topology(server), *kept, _memory(server), _access(url or "")]


def _version(server: Examined) -> Finding:
    if not server.version:
        return Finding(
            "warning",
            "the server does not tell its version to this user",
            "Grant the user +info, so that version and eviction policy can be checked",
        )
    oldest = OLDEST_VALKEY if server.name == "Valkey" else OLDEST_REDIS
    major, minor, *_ = (*map(int, server.version.split(".")[:2]), 0, 0)
    what = f"{server.name} {server.version}"
    if (major, minor) < oldest:
        return Finding(
            "error", f"{what} is too old", "Use Valkey 7.2 or later, or Redis 7.0 or later"
        )
    return Finding("ok", what)


def _topology(server: Examined) -> Finding:
    if server.mode == "cluster":
        return Finding(
            "error",
            "it is part of a cluster, which this release does not speak to",
            "Use a server of its own",
        )
    if server.role == "slave":
        return Finding(
            "error", "it is a replica and takes no writes", "Name the primary in the URL"
        )
    return Finding("ok", "a primary server of its own")


def _policy(server: Examined) -> Finding:
    if not server.policy:
        return Finding(
            "warning",
            "the eviction policy cannot be seen by this user",
            "Make sure that it is noeviction: any other deletes jobs when memory is short",
        )
    if server.policy != "noeviction":
        return Finding(
            "error",
            f"maxmemory-policy is {server.policy}, which deletes jobs when memory is short",
            "Run: CONFIG SET maxmemory-policy noeviction (and set it in the server's file)",
            allow="eviction",
        )
    return Finding("ok", "nothing is evicted")


def _memory(server: Examined) -> Finding:
    if server.version and not server.maxmemory:
        return Finding(
            "warning",
            "no memory limit is set, so the system may kill the server when memory is short",
            "Set maxmemory: at the limit new jobs are refused, and running ones go on",
        )
    return Finding("ok", f"memory limit {server.maxmemory:,} bytes")


def _durability(server: Examined) -> Finding:
    if server.aof == "0":
        return Finding(
            "error",
            "no append-only file: a restart loses every job since the latest snapshot",
            "Run: CONFIG SET appendonly yes (and set it in the server's file)",
            allow="no-aof",
        )
    if server.fsync == "no":
        return Finding(
            "warning",
            "the append-only file is not synced: a power loss can lose half a minute of jobs",
            "Run: CONFIG SET appendfsync everysec",
        )
    if not server.aof or not server.fsync:
        return Finding(
            "warning",
            "how the server keeps its data cannot be seen by this user",
            "Make sure that appendonly is yes and appendfsync is everysec or always",
        )
    lost = "nothing" if server.fsync == "always" else "at most the last second"
    return Finding("ok", f"append-only file, synced {server.fsync}: a power loss loses {lost}")


def _access(url: str) -> Finding:
    parts = urlsplit(url)
    if parts.scheme == "unix" or parts.hostname in (*LOOPBACK, None):
        return Finding("ok", "reached on this host only")
    if not parts.password and not parse_qs(parts.query).get("password"):
        return Finding(
            "warning",
            "reached over a network without a password",
            "Set requirepass or an ACL user, and put it into FERRYMAN_VALKEY_URL",
        )
    if parts.scheme != "rediss":
        return Finding(
            "warning",
            "reached over a network without TLS: the password and all jobs can be read on the way",
            "Use rediss://, or a private network",
        )
    return Finding("ok", "reached over TLS with a password")
