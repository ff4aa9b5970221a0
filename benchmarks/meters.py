"""What the servers and the kernel count: memory, commands, statements, processor time."""

import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
from redis import Redis

_STATEMENTS: LiteralString = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements"
_TRANSACTIONS: LiteralString = (
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)
_SIZE: LiteralString = "SELECT pg_database_size(current_database())"
_EXTENSION: LiteralString = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
_WRITING = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")
_OWN_COMMANDS = ("cmdstat_info", "cmdstat_hello", "cmdstat_client|setinfo")


def held(environment: Mapping[str, str]) -> dict[str, float]:
    """Bytes that each of a system's servers holds: Valkey in memory, the others on disk."""
    bytes_held: dict[str, float] = {}
    if url := environment.get("BENCHMARK_VALKEY"):
        told = _info(url, "memory")
        # What clients and the file's buffer hold at this moment has nothing to do with the jobs.
        passing = told["mem_clients_normal"] + told["mem_aof_buffer"]
        bytes_held["valkey"] = told["used_memory"] - passing
    url = environment.get("BENCHMARK_DATABASE", "")
    if url.startswith("sqlite"):
        bytes_held["sqlite"] = _sqlite_bytes(url.removeprefix("sqlite:///"))
    elif url:
        bytes_held["postgresql"] = _ask(url, _SIZE)
    return bytes_held


def counted(environment: Mapping[str, str]) -> dict[str, float]:
    """What a system's servers have counted so far.

    Valkey: commands (those of scripts too), reads from sockets (about one a round trip), bytes in
    and out. PostgreSQL: statements that clients sent, and transactions.
    """
    counts: dict[str, float] = {}
    if url := environment.get("BENCHMARK_VALKEY"):
        commands, stats = _info(url, "commandstats"), _info(url, "stats")
        counts["commands"] = sum(
            entry["calls"] for name, entry in commands.items() if name not in _OWN_COMMANDS
        )
        counts["reads"] = stats["total_reads_processed"]
        counts["bytes"] = stats["total_net_input_bytes"] + stats["total_net_output_bytes"]
    url = environment.get("BENCHMARK_DATABASE", "")
    if url.startswith("postgresql"):
        counts["statements"] = _ask(url, _STATEMENTS, first=_EXTENSION)
        counts["transactions"] = _ask(url, _TRANSACTIONS)
    return counts


def settle(environment: Mapping[str, str]) -> None:
    """Return once the servers are through with writing down what they were given."""
    if url := environment.get("BENCHMARK_VALKEY"):
        while any(_info(url, "persistence")[name] for name in _WRITING):
            time.sleep(0.1)
    if (url := environment.get("BENCHMARK_DATABASE", "")).startswith("postgresql"):
        _ask(url, "SELECT 1", first="CHECKPOINT")


def processor(processes: Iterable[psutil.Process]) -> float:
    """Seconds of CPU that these processes have taken so far, their threads included."""
    # Not from the clock's ticks, which miss what runs for less than one.
    return sum(_nanoseconds(process.pid) for process in processes) / 1e9


def resident(processes: Iterable[psutil.Process]) -> float:
    """MiB of memory of these processes; what they share is counted once."""
    return sum(float(process.memory_full_info().pss) for process in processes) / 2**20


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that it started; nobody, if it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _nanoseconds(pid: int) -> int:
    total = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(thread.read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return total


def _info(url: str, section: str) -> dict[str, Any]:
    with Redis.from_url(url) as server:
        told: dict[str, Any] = server.info(section)
        return told


def _ask(url: str, question: LiteralString, first: LiteralString = "SELECT 1") -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(first)
        row = connection.execute(question).fetchone()
        return float(row[0]) if row else 0.0


def _sqlite_bytes(path: str) -> float:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Path(path).stat().st_size
