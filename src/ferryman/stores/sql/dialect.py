"""What the two databases say differently, so that few other modules ask which one it is.

`Dialect` gives expressions: the present moment, a list of ids, the next place in a queue. `Rows`
are many rows for one statement: a text of JSON on PostgreSQL, a repeated statement on SQLite.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import (
    CTE,
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    LargeBinary,
    Row,
    String,
    Text,
    TypeDecorator,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
    table,
    update,
)
from sqlalchemy import Dialect as DriverDialect
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from ferryman.stores.base import Clock

Kind = Literal["sqlite", "postgresql"]
Parameters = dict[str, Any] | list[dict[str, Any]]
AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


class StoreNow(FunctionElement[int]):
    """The store's clock in epoch milliseconds; it stands still within one statement."""

    inherit_cache = True
    name = "ferryman_now"
    type = BigInteger()


@compiles(StoreNow, "postgresql")
def _postgresql_now(element: StoreNow, compiler: SQLCompiler, **options: Any) -> str:
    # Of the statement, not of the transaction: a caller's transaction may have begun long ago.
    return "CAST(date_part('epoch', statement_timestamp()) * 1000 AS bigint)"


@compiles(StoreNow, "sqlite")
def _sqlite_now(element: StoreNow, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"


class Contains(FunctionElement[bool]):
    """Whether bytes hold other bytes."""

    inherit_cache = True
    name = "ferryman_contains"
    type = Boolean()

    def __init__(self, whole: ColumnElement[bytes], part: bytes) -> None:
        super().__init__(whole, literal(part, LargeBinary))


@compiles(Contains, "postgresql")
def _postgresql_contains(element: Contains, compiler: SQLCompiler, **options: Any) -> str:
    whole, part = (compiler.process(one, **options) for one in element.clauses)
    return f"position({part} IN {whole}) > 0"


@compiles(Contains, "sqlite")
def _sqlite_contains(element: Contains, compiler: SQLCompiler, **options: Any) -> str:
    whole, part = (compiler.process(one, **options) for one in element.clauses)
    return f"instr({whole}, {part}) > 0"


class Texts(TypeDecorator[Sequence[str]]):
    """A list of texts as one bound value."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: DriverDialect) -> TypeEngine[Any]:
        """The type that the driver is told."""
        kind: TypeEngine[Any] = ARRAY(Text()) if dialect.name == "postgresql" else Text()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Sequence[str] | None, dialect: DriverDialect) -> Any:
        """The value that the driver is given."""
        texts = list(value or ())
        return texts if dialect.name == "postgresql" else json.dumps(texts)


class Dialect:
    """The expressions of one database.

    Args:
        kind: which database.
        clock: epoch milliseconds, instead of the database's own clock.
    """

    def __init__(self, kind: Kind, clock: Clock | None = None) -> None:
        self.kind: Kind = kind
        self.postgresql = kind == "postgresql"
        self.now: ColumnElement[int] = (
            StoreNow() if clock is None else bindparam("now", callable_=clock, type_=BigInteger)
        )

    def among(self, texts: ColumnElement[str], name: str = "ids") -> ColumnElement[bool]:
        """Whether a column's text is in the list that is bound as `name`."""
        bound = bindparam(name, type_=Texts)
        if self.postgresql:
            return texts == any_(bound)
        return texts.in_(select(func.json_each(bound).table_valued("value").c.value))

    @cached_property
    def next_place(self) -> ColumnElement[int]:
        """A place behind all that is queued: about the number of the next event.

        A job that becomes queued adds an event in the same transaction, so whatever is queued
        later gets a higher place. It is one value a statement: an ordinal is added to it.
        """
        if self.postgresql:
            return select(_next_number).scalar_subquery()
        return self.last_number + 1

    @cached_property
    def last_number(self) -> ColumnElement[int]:
        """The highest number of an event that was given away, and on PostgreSQL at least 1."""
        if self.postgresql:
            return select(_sequence.c.last_value).scalar_subquery()
        last = select(_numbers.c.seq).where(_numbers.c.name == "ferryman_events")
        return func.coalesce(last.scalar_subquery(), 0, type_=BigInteger)

    @cached_property
    def skip_numbers(self) -> Executable:
        """Leaves out the next `count` numbers of events."""
        count = bindparam("count", type_=Integer)
        if self.postgresql:
            return select(_next_number).select_from(func.generate_series(1, count))
        mine = _numbers.c.name == "ferryman_events"
        return update(_numbers).where(mine).values(seq=_numbers.c.seq + count)


_next_number: Final = func.nextval("ferryman_events_seq_seq", type_=BigInteger)
_numbers: Final = table("sqlite_sequence", column("name", String), column("seq", BigInteger))
_sequence: Final = table("ferryman_events_seq_seq", column("last_value", BigInteger))
"""Where PostgreSQL and SQLite keep the number of the latest event."""


def later(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    """The later of two moments; `other` may be NULL."""
    return case((other > one, other), else_=one)


class Rows:
    """Rows of named columns for one statement, each numbered by its `ordinal` from 0.

    On PostgreSQL they travel as one text of JSON, which costs a third of an array a column.

    Attributes:
        c: the expression of each column.
        table: what to select the rows from, on PostgreSQL; elsewhere the statement is executed
            once a row.
    """

    def __init__(self, dialect: Dialect, **columns: TypeEngine[Any]) -> None:
        kinds = columns | {"ordinal": BigInteger()}
        self.table: CTE | None = None
        self.c: Mapping[str, ColumnElement[Any]]
        if dialect.postgresql:
            self.table = _recordset(kinds)
            self.c = dict(self.table.c.items())
        else:
            self.c = {name: bindparam(f"given_{name}", type_=kind) for name, kind in kinds.items()}

    def parameters(self, rows: Sequence[dict[str, Any]]) -> Parameters:
        """What to execute a statement with that uses `c`; gives each row its ordinal."""
        if self.table is not None:
            return self.text(rows)
        return [
            {f"given_{name}": value for name, value in row.items()} | {"given_ordinal": ordinal}
            for ordinal, row in enumerate(rows)
        ]

    def text(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The same for PostgreSQL."""
        numbered = [row | {"ordinal": ordinal} for ordinal, row in enumerate(rows)]
        return {"given": msgspec.json.encode(numbered).decode()}


class Repeated:
    """A statement that is executed for many rows, on SQLite once for each.

    There what SQLAlchemy does for each row would cost more than the row itself, so the statement
    goes to the driver as it was compiled.
    """

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self._compiled: SQLCompiler | None = None

    def execute(self, connection: Connection, parameters: Parameters) -> Any:
        """Execute it with what `Rows.parameters` gave."""
        if isinstance(parameters, dict):
            return connection.execute(self.statement, parameters)
        if self._compiled is None:
            self._compiled = self.statement.compile(dialect=connection.dialect)
        same = dict(self._compiled.construct_params(parameters[0]))
        values = itemgetter(*self._compiled.positiontup or ())
        rows = [values(same | row) for row in parameters]
        return connection.exec_driver_sql(self._compiled.string, rows)


def _recordset(kinds: Mapping[str, TypeEngine[Any]]) -> CTE:
    """Rows of a text of JSON, in which bytes are written as Base64."""
    blobs = {name for name, kind in kinds.items() if isinstance(kind, LargeBinary)}
    columns = [column(name, Text if name in blobs else kind) for name, kind in kinds.items()]
    given = func.json_to_recordset(cast(bindparam("given", type_=Text), JSON))
    sent = given.table_valued(*columns).render_derived(name="sent", with_types=True)
    base64 = literal_column("'base64'", Text)
    read = [
        func.decode(one, base64, type_=LargeBinary()).label(name) if name in blobs else one
        for name, one in sent.c.items()
    ]
    return select(*read).cte("given")
