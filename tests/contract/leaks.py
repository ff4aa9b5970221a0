"""What a store holds, looked at behind its back: keys that outlive their purpose, and remains."""

import contextlib
import sqlite3

import psycopg
from redis import Redis

from ferryman.settings import Settings
from ferryman.stores.sql.tables import metadata
from ferryman.stores.valkey.keys import Lifetime, lifetime

KEPT = {"meta", "queues"}
"""Keys that outlive all jobs: the names of the queues, and whether one is paused."""
KEPT_TABLES = {"ferryman_queues"}


def leaks(client: "Redis", namespace: str) -> list[str]:
    """What is wrong with the lifetimes of the keys that a server holds, in words."""
    faults = ((key, _fault(client, namespace, key)) for key in client.scan_iter(count=1000))
    return [f"{key!r}: {fault}" for key, fault in faults if fault]


def _fault(client: "Redis", namespace: str, key: bytes) -> str:
    ttl = client.pttl(key)  # -1 is: without a time to live, -2: gone meanwhile
    match lifetime(namespace, key):
        case None:
            return "not declared, or outside of the namespace"
        case Lifetime.EXPIRING if ttl == -1:
            return "declared to expire, and has no time to live"
        case Lifetime.PERMANENT if ttl >= 0:
            return "declared permanent, and expires"
        case Lifetime.RECORD if (ttl == -1) == _has_a_time_to_live(client, key):
            return "its time to live is not that of its job"
        case _:
            return ""


def _has_a_time_to_live(client: "Redis", record: bytes) -> bool:
    prefix, _, job_id = record.partition(b"}:end:")
    return client.zscore(prefix + b"}:ttl", job_id) is not None


def remains(settings: Settings) -> list[str]:
    """The keys, or the rows, that a store without jobs and workers should not hold any more."""
    if settings.valkey_url and not settings.database_url:
        with Redis.from_url(settings.valkey_url) as client:
            for_ever = (key for key in client.scan_iter() if client.pttl(key) == -1)
            keys = (key.decode("ascii", "replace") for key in for_ever)
            return [key for key in keys if key.rpartition("}:")[2] not in KEPT]
    rows = _rows_of_each_table(settings.database_url or "")
    return [f"{rows[name]} rows of {name}" for name in rows if rows[name]]


def _rows_of_each_table(database_url: str) -> dict[str, int]:
    names = metadata.tables.keys() - KEPT_TABLES
    queries = {name: f"SELECT count(*) FROM {name}" for name in names}  # noqa: S608 - our names
    if database_url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(database_url.partition(":///")[2])) as file:
            return {name: file.execute(query).fetchone()[0] for name, query in queries.items()}
    with psycopg.connect(database_url) as server:
        counted = {
            name: server.execute(query.encode()).fetchone() for name, query in queries.items()
        }
    return {name: int(row[0]) if row else 0 for name, row in counted.items()}
