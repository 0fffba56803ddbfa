"""Which tables of the warehouse hold something of a single record, and how they name it.

Belongs here: what withdrawal knows of the tables. A table is known by its columns, so that a new one is not forgotten.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from warehouse.store import WarehouseRefused

# Tables that hold nothing of a single record, and are left alone. Every other table has to carry a record's key or its
# place in a file: what withdrawal does not know, it does not pass over.
HOLDS_NO_RECORD = frozenset(
    {
        "audit",
        "warehouse_version",
        "intake_file",
        "intake_ledger",
        "intake_mapping",
        "intake_read_with",
        "model_change",
        "model_change_published",
        "purged_file",
        "shadow_file",
        "shadow_run",
        "shadow_run_ended",
        "withdrawal",
        "withdrawal_step",
        "withdrawn_record",
        "withdrawn_key",
        "withdrawn_arrival",
        "withdrawn_file",
    }
)
PLACE, KEY = ("batch_id", "record_number"), ("clinic_id", "record_id")
WHOLE_FILE = 0  # as a record number


def tables_with(connection: duckdb.DuckDBPyConnection, columns: Collection[str]) -> list[str]:
    """Names of the warehouse's own tables that have all of ``columns``, without those of HOLDS_NO_RECORD."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_columns() JOIN duckdb_tables() USING (database_name, schema_name, table_name) "
        "WHERE database_name = current_database() AND NOT temporary AND column_name IN (SELECT unnest($columns)) "
        "GROUP BY table_name HAVING count(DISTINCT column_name) = len($columns) ORDER BY table_name",
        {"columns": list(columns)},
    ).fetchall()
    return [name for (name,) in rows if name not in HOLDS_NO_RECORD]


def check_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises WarehouseRefused where a table holds records in a way that withdrawal does not know."""
    known = {*tables_with(connection, PLACE), *tables_with(connection, KEY), *HOLDS_NO_RECORD}
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT temporary"
    ).fetchall()
    unknown = sorted({name for (name,) in rows} - known)
    if unknown:
        raise WarehouseRefused(
            f"withdrawal does not know what these tables hold: {', '.join(unknown)}; nothing was changed"
        )
