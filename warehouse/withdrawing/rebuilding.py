"""The warehouse written anew: every row copied into a new file that takes the place of the old one in one step.

Belongs here: the copy and the swap. After a DELETE and a checkpoint the text of a row may still lie in free blocks of a
DuckDB file, compressed, where no search of bytes finds it; a new file holds nothing but rows that are there.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from warehouse.disk import sync
from warehouse.home import Home
from warehouse.store import WarehouseRefused

HALF = ".half-"
_MEMORY = "1200MB"


def rebuild(home: Home, numbers: Collection[int]) -> None:
    """Copy all rows into a new warehouse file, put it in place of the old one, and note the step for these withdrawals.

    The caller holds the lock and has no connection open. Raises WarehouseRefused; the old file then stays as it is.
    """
    half = home.root / f"{HALF}warehouse.duckdb"
    scratch = home.root / f"{HALF}scratch"
    _remove(half, half.with_name(f"{half.name}.wal"), scratch)
    error = ""
    try:
        _copy(home, half, scratch, numbers)
    except duckdb.Error as raised:
        error = type(raised).__name__
    if error:
        _remove(half, half.with_name(f"{half.name}.wal"), scratch)
        # Not chained: DuckDB's own text quotes values.
        raise WarehouseRefused(f"the warehouse could not be written anew ({error}); the erasure goes on next time")
    sync(half)
    if home.warehouse.with_name(f"{home.warehouse.name}.wal").exists():
        raise WarehouseRefused("the warehouse was not closed as it should be; the erasure goes on next time")
    half.replace(home.warehouse)
    sync(home.root)
    # What did not fit into memory once, before a process was killed.
    _remove(scratch, home.warehouse.with_name(f"{home.warehouse.name}.tmp"))


def _copy(home: Home, half: Path, scratch: Path, numbers: Collection[int]) -> None:
    connection = duckdb.connect(home.warehouse)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        connection.execute(f"SET temp_directory = '{_quoted(scratch)}'")
        connection.execute("CHECKPOINT")
        ((name,),) = connection.execute("SELECT current_database()").fetchall()
        connection.execute(f"ATTACH '{_quoted(half)}' AS rebuilt")
        connection.execute(f'COPY FROM DATABASE "{name}" TO rebuilt')
        _check_equal(connection, name)
        now = datetime.now(UTC)
        for number in numbers:
            connection.execute("INSERT INTO rebuilt.withdrawal_step VALUES (?, 'rebuilt', ?, NULL)", [number, now])
        connection.execute("CHECKPOINT rebuilt")
        connection.execute("DETACH rebuilt")
        half.chmod(0o600)
    finally:
        connection.close()


def _check_equal(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Every table and view is there with as many rows, else WarehouseRefused."""

    def objects(database: str) -> dict[str, Any]:
        rows = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND NOT temporary "
            "UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = $1 AND NOT internal ORDER BY 1",
            [database],
        ).fetchall()
        return {
            table: connection.execute(f'SELECT count(*) FROM "{database}".main."{table}"').fetchone()
            for (table,) in rows
        }

    if objects(name) != objects("rebuilt"):
        raise WarehouseRefused("the copy of the warehouse is not equal to it; the erasure goes on next time")


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
