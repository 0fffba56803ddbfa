"""A file's records read, mapped and judged by the contract: nothing is decided yet.

Belongs here: from a source to ``intake_valid`` (accepted records; a wide row is written once) and to the temporary
tables ``staged`` (their keys), ``staged_note`` (their free text), ``staged_unread`` (what could be read of refused
ones), ``staged_problem`` and ``staged_warning``. Does not belong here: dispositions and what becomes of the records
(``warehouse.intake``, ``warehouse.replay``).

Privacy: patient rows pass through here; nothing of them is logged or put into an exception.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl
import pyarrow as pa

from schemas.answers import blank_as_null
from schemas.contract import Split, contract_breaks, split
from schemas.form import FREE_TEXT_COLUMN
from schemas.mapping.mapped import Mapped
from schemas.mapping.plan import Plan
from schemas.records import answer_schema, record_schema
from warehouse.formats.block import Block, Source
from warehouse.home import Home
from warehouse.sources import Batch
from warehouse.store import execute_over
from warehouse.withdrawing.withdrawn import without_withdrawn

RECORDS_AT_ONCE = 50_000  # of the whole form; they are read back without filling the memory
STAGED = ("staged", "staged_note", "staged_unread", "staged_problem", "staged_warning")
_KEYS = "batch_id, record_number, clinic_id, record_id, submitted_at, intake_hash"
_RECORD = ", ".join(f'"{field.name}"' for field in record_schema())
_ANSWERS = ", ".join(f'"{field.name}"' for field in answer_schema())


def stage(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    batch: Batch,
    source: Source,
    plan: Plan,
    only: pl.Series | None = None,
) -> int:
    """Fill the staged tables from ``source``; gives the number of rows set aside as no records of ours.

    ``only``: record numbers (Int64) to read again; without it every record is read, and its original text is entered
    in ``intake_raw`` with the header as record 0.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE staged_unread AS SELECT * FROM intake_unread LIMIT 0")
    connection.execute("CREATE OR REPLACE TEMP TABLE staged_note AS SELECT * FROM intake_note LIMIT 0")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE staged_problem (record_number BIGINT, code VARCHAR, column_name VARCHAR, "
        "cell VARCHAR)"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE staged_warning AS SELECT * FROM intake_warning LIMIT 0")
    if only is None:
        connection.execute("INSERT INTO intake_raw VALUES (?, 0, ?)", [batch.batch_id, source.header.text])
    set_aside = 0
    for arriving in source.blocks(plan.wanted):
        block = without_withdrawn(connection, home, batch.batch_id, batch.clinic, source.header, arriving, plan)
        number = block.numbers.gather(block.cells["row"]).alias("record_number")
        cells = block.cells
        if only is not None:
            wanted = number.is_in(only.implode())
            cells, number = cells.filter(wanted), number.filter(wanted)
        mapped, kept = _without_set_aside(plan.to_form(cells))
        aside = number.filter(~kept)
        set_aside += aside.len()
        if only is None:
            _keep_texts(connection, batch, block, aside)
        parts = split(
            mapped.cells, clinic=batch.clinic or None, received_at=batch.received_at, problems=mapped.problems
        )
        _stage_split(connection, batch, parts, number.filter(kept))
        _stage_notes(connection, batch, parts.accepted, number.filter(kept), mapped.cells)
        _stage_broken(connection, block, only)
    read = "batch_id = $batch" + ("" if only is None else " AND record_number IN (SELECT unnest($only))")
    bound = {"batch": batch.batch_id} | ({} if only is None else {"only": only.to_list()})
    _hold_back(connection, read, bound)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE staged AS SELECT {_KEYS} FROM intake_valid WHERE {read}", bound)
    return set_aside


def _hold_back(connection: duckdb.DuckDBPyConnection, read: str, bound: Mapping[str, object]) -> None:
    """Read back what was stored of the file; a record that breaks the contract there is refused, before it is decided.

    Nobody gets to see a record half: in the quarantine it stands among the forms that could not be read.
    """
    broken = breaking_records(connection, read, bound)
    if not broken:
        return
    of_them = "batch_id = $batch AND record_number IN (SELECT unnest($broken))"
    bound = {"batch": bound["batch"], "broken": broken}
    connection.execute(
        f"INSERT INTO staged_unread SELECT batch_id, record_number, {_ANSWERS} FROM intake_valid WHERE {of_them}", bound
    )
    connection.execute(f"DELETE FROM intake_valid WHERE {of_them}", bound)
    connection.execute(
        "INSERT INTO staged_problem SELECT unnest($broken), 'contract_broken', NULL, NULL", {"broken": broken}
    )


def breaking_records(connection: duckdb.DuckDBPyConnection, read: str, bound: Mapping[str, object]) -> list[int]:
    """Numbers of stored records that break the contract, of those that the condition ``read`` on intake_valid takes."""
    reader = connection.execute(
        f"SELECT record_number, {_RECORD} FROM intake_valid WHERE {read}", dict(bound)
    ).to_arrow_reader(RECORDS_AT_ONCE)
    broken: list[int] = []
    for part in reader:
        records = pl.DataFrame(pl.from_arrow(part))
        rows = contract_breaks(records)["row"].unique().sort()
        broken += records["record_number"].gather(rows).to_list()
    return broken


def unstage(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables."""
    for table in (*STAGED, "decided"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def _without_set_aside(mapped: Mapped) -> tuple[Mapped, pl.Series]:
    """The block without the rows that are no records, and for each row whether it is one."""
    places = pl.Series("row", range(mapped.cells.height), dtype=pl.UInt32)
    kept = ~places.is_in(mapped.set_aside.cast(pl.UInt32).implode())
    if kept.all():
        return mapped, kept
    moved = pl.DataFrame({"row": places, "to": kept.cast(pl.UInt32).cum_sum() - 1}).filter(kept)
    problems = mapped.problems.join(moved, on="row").with_columns(pl.col("to").alias("row")).drop("to")
    return Mapped(mapped.cells.filter(kept), problems, mapped.set_aside.clear()), kept


def _keep_texts(connection: duckdb.DuckDBPyConnection, batch: Batch, block: Block, aside: pl.Series) -> None:
    texts = pl.DataFrame([block.numbers, block.texts]).filter(~block.numbers.is_in(aside.implode()))
    query = "INSERT INTO intake_raw SELECT $batch, record_number, record_text FROM arriving"
    execute_over(connection, texts.to_arrow(), query, {"batch": batch.batch_id})


def _stage_split(connection: duckdb.DuckDBPyConnection, batch: Batch, parts: Split, number: pl.Series) -> None:
    def numbered(frame: pl.DataFrame) -> pa.Table:
        return frame.with_columns(number.gather(frame["row"]).alias("record_number")).drop("row").to_arrow()

    bound = {"batch": batch.batch_id}
    accepted = numbered(parts.accepted.with_columns(pl.lit(batch.data_kind).alias("data_kind")))
    hashed = "SELECT *, sha256(canonical) AS intake_hash, $received::TIMESTAMPTZ AS received_at FROM arriving"
    execute_over(
        connection,
        accepted,
        f"INSERT INTO intake_valid SELECT $batch, record_number, {_RECORD} FROM ({hashed})",
        bound | {"received": batch.received_at},
    )
    keys = parts.accepted.select("row", "clinic_id", "record_id")
    execute_over(
        connection,
        numbered(parts.warnings.join(keys, on="row", maintain_order="left")),
        'INSERT INTO staged_warning SELECT $batch, record_number, clinic_id, record_id, code, "column" FROM arriving',
        bound,
    )
    execute_over(
        connection,
        numbered(parts.refused),
        f"INSERT INTO staged_unread SELECT $batch, record_number, {_ANSWERS} FROM arriving",
        bound,
    )
    execute_over(
        connection,
        numbered(parts.rejections),
        'INSERT INTO staged_problem SELECT record_number, code, "column", cell FROM arriving',
    )


def _stage_notes(
    connection: duckdb.DuckDBPyConnection, batch: Batch, accepted: pl.DataFrame, number: pl.Series, cells: pl.DataFrame
) -> None:
    """The free text of accepted records. It is no answer: the contract gives only whether there is one."""
    if FREE_TEXT_COLUMN not in cells.columns:
        return
    cell = cells.select(blank_as_null([FREE_TEXT_COLUMN])).to_series()
    row = accepted["row"]
    notes = accepted.select("clinic_id", "record_id", number.gather(row).alias("record_number"), note=cell.gather(row))
    execute_over(
        connection,
        notes.drop_nulls("note").to_arrow(),
        "INSERT INTO staged_note SELECT $batch, record_number, clinic_id, record_id, note FROM arriving",
        {"batch": batch.batch_id},
    )


def _stage_broken(connection: duckdb.DuckDBPyConnection, block: Block, only: pl.Series | None) -> None:
    broken = block.broken.select(block.numbers.gather(block.broken["row"]).alias("record_number"), "code")
    if only is not None:
        broken = broken.filter(pl.col("record_number").is_in(only.implode()))
    query = "INSERT INTO staged_problem SELECT record_number, code, NULL, NULL FROM arriving"
    execute_over(connection, broken.to_arrow(), query)
