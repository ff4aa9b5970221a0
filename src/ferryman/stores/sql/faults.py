"""Faults: what drivers and servers raise, as the errors of Ferryman."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ferryman.domain.errors import StoreError, StoreFull, StoreUnavailable, StoreUnsafe


class Fault(Enum):
    """What kind of trouble an error of the driver is."""

    CONTENTION = auto()
    """Another transaction was in the way; the same again may succeed."""
    UNREACHABLE = auto()
    FULL = auto()
    NO_TABLES = auto()
    OTHER = auto()


_CONTENTION = {"40001", "40P01"}
# A unique key or an id that came in between a look and a write: the next look sees it.
_OVERTAKEN = {"23505"}
_UNREACHABLE_CLASSES = {"08", "57"}
_UNREACHABLE = {"53300", "25006", "55P03"}  # too many connections, a standby, a lock not had
_FULL = {"53100", "53200"}
_NO_TABLES = {"42P01", "42703"}

_SQLITE = {
    "SQLITE_BUSY": Fault.CONTENTION,
    "SQLITE_LOCKED": Fault.CONTENTION,
    "SQLITE_FULL": Fault.FULL,
    "SQLITE_CANTOPEN": Fault.UNREACHABLE,
    "SQLITE_IOERR": Fault.UNREACHABLE,
}


def fault_of(error: SQLAlchemyError) -> Fault:
    """What kind of trouble `error` is."""
    if isinstance(error, PoolTimeout):
        return Fault.UNREACHABLE
    if not isinstance(error, DBAPIError):
        return Fault.OTHER
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return _of_sqlite(name, str(error.orig))
    return _of_postgresql(getattr(error.orig, "sqlstate", None), error)


def _of_sqlite(name: str, message: str) -> Fault:
    if message.startswith(("no such table", "no such column")):
        return Fault.NO_TABLES
    primary = "_".join(name.split("_")[:2])  # SQLITE_BUSY_SNAPSHOT is a kind of SQLITE_BUSY
    return _SQLITE.get(primary, Fault.OTHER)


def _of_postgresql(state: str | None, error: DBAPIError) -> Fault:
    if state in _CONTENTION | _OVERTAKEN:
        return Fault.CONTENTION
    if state in _FULL:
        return Fault.FULL
    if state in _NO_TABLES:
        return Fault.NO_TABLES
    if state in _UNREACHABLE or (state or "")[:2] in _UNREACHABLE_CLASSES:
        return Fault.UNREACHABLE
    # Without a state the server never answered.
    lost = error.connection_invalidated or (state is None and isinstance(error, OperationalError))
    return Fault.UNREACHABLE if lost else Fault.OTHER


def shown(url: URL) -> str:
    """A URL without its driver, and without its password wherever that was written."""
    hidden = {key: "***" for key in url.query if "pass" in key.lower()}
    plain = url.set(drivername=url.get_backend_name()).update_query_dict(hidden)
    return plain.render_as_string(hide_password=True)


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Errors of SQLAlchemy and of the driver as those that the protocol names."""
    try:
        yield
    except SQLAlchemyError as error:
        raise _translation(error, url) from error
    except (OSError, TimeoutError) as error:
        reason = str(error) or "it does not answer in time"
        raise StoreUnavailable(f"the database {shown(url)} cannot be reached: {reason}") from error


def _translation(error: SQLAlchemyError, url: URL) -> StoreError:
    name = shown(url)
    reason = str(getattr(error, "orig", None) or error).strip().replace(url.password or "\0", "***")
    match fault_of(error):
        case Fault.UNREACHABLE:
            return StoreUnavailable(f"the database {name} cannot be reached: {reason}")
        case Fault.CONTENTION:
            return StoreUnavailable(f"the database {name} is busy with other writers: {reason}")
        case Fault.FULL:
            return StoreFull(f"the database {name} has no room left: {reason}")
        case Fault.NO_TABLES:
            text = f"the database {name} lacks Ferryman's tables or columns ({reason}): "
            return StoreUnsafe(text + "run `ferryman migrate`")
        case Fault.OTHER:
            return StoreError(f"the database {name} refused a statement: {reason}")
