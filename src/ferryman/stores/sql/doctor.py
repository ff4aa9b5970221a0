"""The doctor: which promise the database keeps as it is set up, and how to mend the rest."""

from collections.abc import Collection, Iterator

from sqlalchemy import Connection, func, inspect, select, text

from ferryman.domain.errors import StoreUnsafe
from ferryman.stores.base import Finding
from ferryman.stores.sql.tables import REVISION, VERSION_TABLE

OLDEST_POSTGRESQL = (13, 0)
OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING


def schema_version(connection: Connection) -> str | None:
    """The migration that the tables stand at; `None` is: there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    row = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).first()  # noqa: S608
    return None if row is None else str(row.version_num)


def is_empty(connection: Connection) -> bool:
    """Whether the database holds no table at all."""
    return not inspect(connection).get_table_names()


def server_version(connection: Connection) -> tuple[int, ...]:
    """The database's own version."""
    return tuple(int(part) for part in connection.dialect.server_version_info or ())


def require_sound(connection: Connection, allow: Collection[str]) -> None:
    """Refuse a database that cannot keep the store's promises, but for what is allowed.

    Raises:
        StoreUnsafe: too old, or its tables are not up to date.
    """
    for finding in (_version(connection), _schema(connection), *_commits(connection)):
        if finding.level == "error" and finding.allow not in allow:
            instead = f", or allow it: FERRYMAN_ALLOW={finding.allow}" if finding.allow else ""
            raise StoreUnsafe(f"{finding.what}: {finding.mend}{instead}")


def _commits(connection: Connection) -> Iterator[Finding]:
    """What would keep a commit that was acknowledged from outliving a crash of the server."""
    if connection.dialect.name != "postgresql":
        return
    for name in ("fsync", "full_page_writes"):
        if _setting(connection, name) != "on":
            what = f"{name} is off: when the power fails, acknowledged jobs may be lost"
            mend = f"set {name} = on in postgresql.conf and reload"
            yield Finding("error", what, mend, allow="no-fsync")
    if _setting(connection, "synchronous_commit") == "off":
        what = "synchronous_commit is off: a crash may lose the jobs of the last moments"
        mend = "set it to on for Ferryman's role: ALTER ROLE … SET …"
        yield Finding("error", what, mend, allow="async-commit")


def _setting(connection: Connection, name: str) -> str:
    """A setting of PostgreSQL, as this session has it."""
    return str(connection.execute(select(func.current_setting(name).label("value"))).one().value)


def findings(connection: Connection) -> list[Finding]:
    """The check-up."""
    postgresql = connection.dialect.name == "postgresql"
    durability = _postgresql_durability if postgresql else _sqlite_durability
    return [_version(connection), _schema(connection), *durability(connection)]


def _version(connection: Connection) -> Finding:
    postgresql = connection.dialect.name == "postgresql"
    name, oldest = ("PostgreSQL", OLDEST_POSTGRESQL) if postgresql else ("SQLite", OLDEST_SQLITE)
    version = server_version(connection)
    what = f"{name} {'.'.join(map(str, version))}"
    if version < oldest:
        needed = ".".join(map(str, oldest))
        return Finding("error", f"{what} is too old", f"{name} {needed} or newer is needed")
    return Finding("ok", what)


def _schema(connection: Connection) -> Finding:
    version = schema_version(connection)
    if version is None:
        return Finding("error", "Ferryman's tables are not there", "run `ferryman migrate`")
    if version < REVISION:
        what = f"the tables stand at {version}, and this release needs {REVISION}"
        return Finding("error", what, "run `ferryman migrate`")
    if version > REVISION:
        what = f"the tables stand at {version}, made by a newer release than this ({REVISION})"
        return Finding("warning", what, "bring this process up to the newer release soon")
    return Finding("ok", f"the tables are up to date ({version})")


def _postgresql_durability(connection: Connection) -> Iterator[Finding]:
    broken = list(_commits(connection))
    yield from broken
    if not broken:
        commit = _setting(connection, "synchronous_commit")
        what = f"nothing that was acknowledged is lost (fsync on, synchronous_commit {commit})"
        yield Finding("ok", what)
    if _setting(connection, "default_transaction_isolation") != "read committed":
        what = "default_transaction_isolation is not `read committed`: claims may collide"
        yield Finding("warning", what, "leave it at read committed for Ferryman's role")
    if _setting(connection, "transaction_read_only") == "on":
        mend = "connect to the primary (target_session_attrs=read-write)"
        yield Finding("error", "the server takes no writes", mend)


def _sqlite_durability(connection: Connection) -> Iterator[Finding]:
    def pragma(name: str) -> str:
        return str(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    mode, synchronous = pragma("journal_mode"), pragma("synchronous")
    if mode == "wal" and synchronous in ("2", "3"):
        yield Finding("ok", "nothing that was acknowledged is lost (WAL, synchronous FULL)")
    else:
        what = f"journal_mode is {mode} and synchronous is {synchronous}"
        yield Finding("warning", what, "keep the file on a local disk, where WAL works")
