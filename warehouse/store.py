"""The door to the warehouse file: open it under the lock, in one transaction, with its tables in place.

Belongs here: connection, transaction, schema version. Does not belong here: what is written (``warehouse.intake``,
``warehouse.scores``, ``warehouse.snapshots``).

Privacy: DuckDB's messages quote values (a failed cast, a duplicate key). They stop here: callers see the kind of
error and the purpose, never the message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources

import duckdb
import pyarrow as pa

from schemas.records import answer_schema, record_schema
from schemas.referral import scored_schema
from warehouse.home import Home
from warehouse.lock import holding

# 1 had no history of models in force; 2 no outcomes, decisions, mappings, releases or withdrawals; 3 no audit.
WAREHOUSE_VERSION = 4
MEMORY = "800MB"


class WarehouseRefused(Exception):
    """The warehouse cannot be used, with one plain sentence why."""


class WarehouseFailed(WarehouseRefused):
    """DuckDB could not do a step, for want of memory or for a reason of its own; nothing of the step was kept."""


def sql_type(arrow: pa.DataType) -> str:
    """DuckDB's name for an Arrow type of our schemas."""
    if pa.types.is_list(arrow):
        return f"{sql_type(arrow.value_type)}[]"
    if pa.types.is_struct(arrow):
        fields = ", ".join(f'"{field.name}" {sql_type(field.type)}' for field in arrow)
        return f"STRUCT({fields})"
    names = {
        pa.string(): "VARCHAR",
        pa.bool_(): "BOOLEAN",
        pa.int32(): "INTEGER",
        pa.float64(): "DOUBLE",
        pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    }
    return names[arrow]


def column_list(schema: pa.Schema) -> str:
    """The columns of a schema as DuckDB declares them."""
    return ", ".join(f'"{field.name}" {sql_type(field.type)}' for field in schema)


def execute_over(
    connection: duckdb.DuckDBPyConnection, arriving: pa.Table, query: str, bound: Mapping[str, object] | None = None
) -> None:
    """Execute ``query``, in which ``arriving`` names the rows of this table.

    DuckDB finds the table by the name of the argument. A registered one would be a view, and a transaction keeps every
    view that it ever had, with its rows, until it ends: memory would grow with the file.
    """
    connection.execute(query, dict(bound or {}))


@contextmanager
def opened(home: Home, purpose: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, locked and inside one transaction: committed at the end, rolled back on any error.

    Raises WarehouseBusy (lock), WarehouseRefused (unusable or newer file), WarehouseFailed (an error of DuckDB, without
    its text).
    """
    with holding(home, purpose):
        error = ""
        try:
            with _connected(home) as connection, _transaction(connection):
                _ensure_tables(connection)
                yield connection
        except duckdb.Error as raised:
            error = type(raised).__name__
        # Not chained: DuckDB's own text quotes values.
        if error:
            raise WarehouseFailed(
                f"the warehouse refused to {purpose} ({error}); nothing of this step was kept"
            ) from None


@contextmanager
def _connected(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(home.warehouse)
    try:
        home.warehouse.chmod(0o600)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        # What does not fit waits beside the warehouse, in a folder that the lock's holder sweeps.
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        yield connection
    finally:
        connection.close()


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _ensure_tables(connection: duckdb.DuckDBPyConnection) -> None:
    found = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'warehouse_version'").fetchone()
    if found != (0,):
        version = connection.execute("SELECT max(version) FROM warehouse_version").fetchone()
        if version and version[0] > WAREHOUSE_VERSION:
            raise WarehouseRefused(
                f"the warehouse was written by a newer version of hiptriage (its version is {version[0]}, this "
                f"program reads up to {WAREHOUSE_VERSION}): update the program; nothing was changed"
            )
        if version == (WAREHOUSE_VERSION,):
            return
    # An older warehouse gets the tables it lacks; what it holds stays as it is.
    connection.execute(resources.files("warehouse").joinpath("tables.sql").read_text("utf-8"))
    arrived = "batch_id VARCHAR NOT NULL, record_number BIGINT NOT NULL"
    connection.execute(f"CREATE TABLE IF NOT EXISTS intake_valid ({arrived}, {column_list(record_schema())})")
    connection.execute(f"CREATE TABLE IF NOT EXISTS intake_unread ({arrived}, {column_list(answer_schema())})")
    connection.execute(f"CREATE TABLE IF NOT EXISTS referral_score ({column_list(scored_schema())})")
    connection.execute(resources.files("warehouse").joinpath("views.sql").read_text("utf-8"))
    connection.execute("INSERT INTO warehouse_version VALUES (?)", [WAREHOUSE_VERSION])
