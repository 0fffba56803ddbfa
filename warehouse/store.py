"""The door to the warehouse file: open it under the lock, in one transaction, with its tables in place.

Belongs here: connection, transaction, schema version. Does not belong here: what is written (``warehouse.intake``,
``warehouse.scores``, ``warehouse.snapshots``).

Privacy: DuckDB's messages quote values (a failed cast, a duplicate key). They stop here: callers see the kind of
error and the purpose, never the message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import resources

import duckdb
import pyarrow as pa

from schemas.records import answer_schema, record_schema
from schemas.referral import scored_schema
from warehouse.damage import is_damage, wants_room
from warehouse.home import Home
from warehouse.lock import holding
from warehouse.snapshot_reading import POINTER

# 1 had no history of models in force; 2 no outcomes, decisions, mappings, releases or withdrawals; 3 no audit;
# 4 no safety concerns and no notes.
WAREHOUSE_VERSION = 5
MEMORY = "800MB"
RESTORING = "restoring"  # lies in a home while a backup is put back (warehouse.restoring)
_RESTORE = "put a backup in its place with hiptriage restore; nothing was changed, and the last table stays readable"
DAMAGED = f"the warehouse file is damaged: {_RESTORE}"
GONE = f"the warehouse file is gone, and a table was published from it: {_RESTORE}"


class WarehouseRefused(Exception):
    """The warehouse cannot be used, with one plain sentence why."""


class WarehouseFailed(WarehouseRefused):
    """DuckDB could not do a step, for want of memory or for a reason of its own; nothing of the step was kept."""


class NoRoom(WarehouseRefused):
    """The disk has no room left for a step; nothing of the step was kept."""

    def __init__(self, purpose: str) -> None:
        super().__init__(
            f"the disk has no room left to {purpose}: make room and start again, what waits is then taken up; "
            "nothing is lost and nothing half-done was kept"
        )


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
def opened(home: Home, purpose: str, *, wait: float | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, locked and inside one transaction: committed at the end, rolled back on any error.

    ``wait``: seconds to wait for the lock, by default as the settings say; 0 only tries. Raises WarehouseBusy (lock),
    WarehouseRefused (unusable or newer file), NoRoom (disk full), WarehouseFailed (another error of DuckDB, without its
    text).
    """
    with holding(home, purpose, wait=wait), _errors_told(purpose):
        if (home.root / RESTORING).exists():
            raise WarehouseRefused("a restore was broken off: do it again with hiptriage restore FOLDER --replace")
        with _connected(home) as connection, _transaction(connection):
            _ensure_tables(connection)
            yield connection


@contextmanager
def kept_open(home: Home, purpose: str) -> Iterator[None]:
    """The warehouse locked, and its file kept open through many transactions of ``opened`` inside.

    Opening and closing the file costs as much as loading a small batch. Nothing inside may put another file in its
    place. Raises what ``opened`` raises.
    """
    with holding(home, purpose), _errors_told(purpose), _connected(home):
        with opened(home, purpose):
            pass  # whatever is wrong with the file is said here, and a new one gets its tables
        yield


@contextmanager
def _errors_told(purpose: str) -> Iterator[None]:
    error, full = "", False
    try:
        yield
    except duckdb.Error as raised:
        error, full = DAMAGED if is_damage(raised) else type(raised).__name__, wants_room(raised)
    # Not chained: DuckDB's own text quotes values.
    if error == DAMAGED:
        raise WarehouseRefused(DAMAGED) from None
    if full:
        raise NoRoom(purpose)
    if error:
        raise WarehouseFailed(f"the warehouse refused to {purpose} ({error}); nothing of this step was kept") from None


@contextmanager
def _connected(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    _check_there(home)
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


def _check_there(home: Home) -> None:
    """Raises WarehouseRefused where a home that has published has no warehouse: an empty one would empty the table."""
    empty = home.warehouse.exists() and home.warehouse.stat().st_size == 0
    if (empty or not home.warehouse.exists()) and (home.snapshots / POINTER).exists():
        raise WarehouseRefused(GONE)
    if empty:
        home.warehouse.unlink()  # left by a process that died while it made the first one; it holds nothing


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.begin()
    try:
        yield
    except BaseException:
        # DuckDB rolls back by itself where it cannot go on; what went wrong first is what has to be told.
        with suppress(duckdb.Error):
            connection.rollback()
        raise
    connection.commit()


def _ensure_tables(connection: duckdb.DuckDBPyConnection) -> None:
    version = _version(connection)
    if version == WAREHOUSE_VERSION:
        return
    if version > WAREHOUSE_VERSION:
        raise WarehouseRefused(
            f"the warehouse was written by a newer version of hiptriage (its version is {version}, this "
            f"program reads up to {WAREHOUSE_VERSION}): update the program; nothing was changed"
        )
    # An older warehouse gets the tables it lacks; what it holds stays as it is.
    connection.execute(resources.files("warehouse").joinpath("tables.sql").read_text("utf-8"))
    arrived = "batch_id VARCHAR NOT NULL, record_number BIGINT NOT NULL"
    connection.execute(f"CREATE TABLE IF NOT EXISTS intake_valid ({arrived}, {column_list(record_schema())})")
    connection.execute(f"CREATE TABLE IF NOT EXISTS intake_unread ({arrived}, {column_list(answer_schema())})")
    connection.execute(f"CREATE TABLE IF NOT EXISTS referral_score ({column_list(scored_schema())})")
    connection.execute(resources.files("warehouse").joinpath("views.sql").read_text("utf-8"))
    connection.execute("INSERT INTO warehouse_version VALUES (?)", [WAREHOUSE_VERSION])


def _version(connection: duckdb.DuckDBPyConnection) -> int:
    """The newest version of the file's tables; 0 where it has none."""
    try:
        found = connection.execute("SELECT max(version) FROM warehouse_version").fetchone()
    except duckdb.CatalogException:
        return 0
    return (found and found[0]) or 0
