"""A batch's way into the warehouse: archived file in; raw, valid, warnings, quarantine, dispositions and ledger out.

Belongs here: loading a registered source, all of it or nothing. Does not belong here: what a cell may hold
(``schemas.contract``), what an answer means (``models``).

Privacy: patient rows pass through here; nothing of them is logged or put into an exception.
"""

from __future__ import annotations

from importlib import resources

import duckdb
import polars as pl

from schemas.contract import Split, contract_version, split
from schemas.problems import FileRefused
from schemas.records import answer_schema, record_schema
from warehouse import csv_records, ledger
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.sources import Batch, batch_of
from warehouse.store import WarehouseRefused, opened


def load(home: Home, batch_id: str) -> Reconciled:
    """Load one registered batch in one transaction; loading it again changes nothing and gives the same counts.

    A file that cannot be taken in is written to the ledger as refused, with its code; its bytes stay in the archive.
    """
    try:
        with opened(home, "load a batch") as connection:
            done = ledger.reconciled(connection, batch_id)
            return done or _load(connection, home, batch_of(connection, batch_id))
    except FileRefused as refused:
        counts = Reconciled(batch_id, 0, 0, 0, 0, 0, 0, 0, refused.code, refused.columns)
    with opened(home, "note a refused file") as connection:
        ledger.write(connection, counts, "refused")
    return counts


def _load(connection: duckdb.DuckDBPyConnection, home: Home, batch: Batch) -> Reconciled:
    staged = ", ".join(f'"{field.name}"' for field in record_schema())
    connection.execute("CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM intake_valid LIMIT 0")
    unknown_columns = 0
    for part in csv_records.read(home.archive / batch.sha256, clinic_known=bool(batch.clinic)):
        if isinstance(part, csv_records.Header):
            unknown_columns = part.unknown
            connection.execute("INSERT INTO intake_raw VALUES (?, 0, ?)", [batch.batch_id, part.text])
        else:
            _load_block(connection, batch, part, staged)
    connection.execute(resources.files("warehouse").joinpath("dispositions.sql").read_text("utf-8"))
    _quarantine_conflicts(connection, batch)
    connection.execute(
        "INSERT INTO intake_valid SELECT staged.* FROM staged JOIN decided USING (record_number) "
        "WHERE disposition IN ('accepted', 'superseded')"
    )
    connection.execute(
        "INSERT INTO intake_disposition SELECT ?, record_number, "
        "CASE disposition WHEN 'conflicting_version' THEN 'quarantined' ELSE disposition END FROM decided",
        [batch.batch_id],
    )
    connection.execute("DROP TABLE staged; DROP TABLE decided")
    return _arrive(connection, batch.batch_id, unknown_columns)


def _load_block(
    connection: duckdb.DuckDBPyConnection, batch: Batch, block: csv_records.Block, staged_columns: str
) -> None:
    raw = pl.DataFrame([block.numbers, block.texts]).to_arrow()
    connection.register("raw_block", raw)
    connection.execute("INSERT INTO intake_raw SELECT ?, record_number, record_text FROM raw_block", [batch.batch_id])
    parts = split(block.cells, clinic=batch.clinic or None, received_at=batch.received_at)
    number = block.numbers.gather(block.cells["row"])
    accepted = parts.accepted.with_columns(
        number.gather(parts.accepted["row"]).alias("record_number"), pl.lit(batch.data_kind).alias("data_kind")
    )
    connection.register("accepted_block", accepted.drop("row").to_arrow())
    connection.execute(
        f"INSERT INTO staged SELECT $batch, record_number, {staged_columns} FROM "
        "(SELECT *, sha256(canonical) AS intake_hash, $received::TIMESTAMPTZ AS received_at FROM accepted_block)",
        {"batch": batch.batch_id, "received": batch.received_at},
    )
    _write_warnings(connection, batch, parts, number)
    _write_quarantine(connection, batch, parts, block, number)
    for name in ("raw_block", "accepted_block"):
        connection.unregister(name)


def _write_warnings(connection: duckdb.DuckDBPyConnection, batch: Batch, parts: Split, number: pl.Series) -> None:
    keys = parts.accepted.select("row", "clinic_id", "record_id")
    warned = parts.warnings.join(keys, on="row", maintain_order="left")
    warned = warned.with_columns(number.gather(warned["row"]).alias("record_number"))
    connection.register("warned_block", warned.to_arrow())
    connection.execute(
        'INSERT INTO intake_warning SELECT ?, record_number, clinic_id, record_id, code, "column" FROM warned_block',
        [batch.batch_id],
    )
    connection.unregister("warned_block")


def _write_quarantine(
    connection: duckdb.DuckDBPyConnection,
    batch: Batch,
    parts: Split,
    block: csv_records.Block,
    number: pl.Series,
) -> None:
    of_cells = parts.rejections.with_columns(
        number.gather(parts.rejections["row"]).alias("record_number"),
        _cell_texts(block.cells, parts.rejections).alias("cell"),
    )
    of_lines = block.broken.select(
        block.numbers.gather(block.broken["row"]).alias("record_number"),
        pl.lit(None, pl.String).alias("column"),
        "code",
    ).with_columns(pl.lit(None, pl.String).alias("cell"))
    columns = ["record_number", "code", "column", "cell"]
    connection.register("problem_block", pl.concat([of_cells.select(columns), of_lines.select(columns)]).to_arrow())
    unread = parts.refused.with_columns(number.gather(parts.refused["row"]).alias("record_number"))
    connection.register("unread_block", unread.to_arrow())
    answers = ", ".join(f'"{field.name}"' for field in answer_schema())
    connection.execute(
        f"INSERT INTO intake_unread SELECT ?, record_number, {answers} FROM unread_block", [batch.batch_id]
    )
    connection.execute(
        """
        INSERT INTO intake_quarantine
        SELECT $batch, p.record_number, any_value(u.clinic_id), any_value(u.record_id), $received, $contract,
               list(struct_pack(code := p.code, column_name := p."column", cell := p.cell) ORDER BY p."column", p.code)
        FROM problem_block p LEFT JOIN unread_block u USING (record_number)
        GROUP BY p.record_number
        """,
        {"batch": batch.batch_id, "received": batch.received_at, "contract": contract_version()},
    )
    connection.execute(
        "INSERT INTO intake_disposition SELECT DISTINCT ?, record_number, 'quarantined' FROM problem_block",
        [batch.batch_id],
    )
    connection.unregister("problem_block")
    connection.unregister("unread_block")


def _cell_texts(cells: pl.DataFrame, rejections: pl.DataFrame) -> pl.Series:
    """The original text of each rejected cell, in the order of ``rejections``; null for a column the file lacks."""
    texts = pl.Series("cell", [None] * rejections.height, dtype=pl.String)
    for (column,), group in rejections.with_row_index("place").group_by("column"):
        if column in cells.columns:
            texts = texts.scatter(group["place"], cells[str(column)].gather(group["row"]))
    return texts


def _quarantine_conflicts(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    answers = ", ".join(f'"{field.name}"' for field in answer_schema())
    connection.execute(
        f"INSERT INTO intake_unread SELECT batch_id, record_number, {answers} FROM staged "
        "JOIN decided USING (record_number) WHERE disposition = 'conflicting_version'"
    )
    connection.execute(
        """
        INSERT INTO intake_quarantine
        SELECT batch_id, record_number, clinic_id, record_id, received_at, ?,
               [struct_pack(code := 'conflicting_version', column_name := NULL::VARCHAR, cell := NULL::VARCHAR)]
        FROM staged JOIN decided USING (record_number) WHERE disposition = 'conflicting_version'
        """,
        [contract_version()],
    )
    connection.execute(
        "DELETE FROM intake_warning WHERE batch_id = ? AND record_number IN "
        "(SELECT record_number FROM decided WHERE disposition IN ('conflicting_version', 'duplicate'))",
        [batch.batch_id],
    )


def _arrive(connection: duckdb.DuckDBPyConnection, batch_id: str, unknown_columns: int) -> Reconciled:
    ((*counts,),) = connection.execute(
        """
        SELECT (SELECT count(*) FROM intake_raw WHERE batch_id = $batch AND record_number > 0),
               count(*) FILTER (disposition = 'accepted'), count(*) FILTER (disposition = 'quarantined'),
               count(*) FILTER (disposition = 'duplicate'), count(*) FILTER (disposition = 'superseded'),
               (SELECT count(DISTINCT record_number) FROM intake_warning WHERE batch_id = $batch)
        FROM intake_disposition WHERE batch_id = $batch
        """,
        {"batch": batch_id},
    ).fetchall()
    arrival = Reconciled(batch_id, *counts, unknown_columns)
    if not arrival.balanced:
        raise WarehouseRefused("the counts of a batch do not add up; nothing of it was kept")
    ledger.write(connection, arrival, "arrival")
    return arrival
