"""Generated records as the text that a clinic's form would hold, and as files of every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import openpyxl
import polars as pl
import pyarrow.parquet as pq

from models.catalogue import load_catalogue
from models.cohort import generate
from schemas.form import form

CLINIC = "north"


@cache
def typed_records(n: int = 60, seed: int = 4) -> pl.DataFrame:
    """``n`` generated records, typed, the columns of the form without notes."""
    records = generate(load_catalogue(), n=n, seed=seed).records
    columns = [q.column for q in form() if q.column in records.columns]
    # The generator dates its records into a year that is not over yet.
    past = pl.col("submitted_at").dt.offset_by("-2y")
    return records.select(columns).with_columns(pl.lit(CLINIC).alias("clinic_id"), past)


def as_text(records: pl.DataFrame) -> pl.DataFrame:
    """The cells of the canonical file: 1 and 0, plain digits, ISO times in UTC; null where nothing was asked."""
    texts = []
    for name, kind in records.schema.items():
        cell = pl.col(name)
        if kind == pl.Boolean:
            texts.append(cell.cast(pl.Int8).cast(pl.String))
        elif isinstance(kind, pl.Datetime):
            texts.append(cell.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f").str.replace(r"\.000000$", "") + "Z")
        elif kind.is_float():
            texts.append(cell.cast(pl.String).str.replace(r"\.0$", ""))
        else:
            texts.append(cell.cast(pl.String))
    return records.select(text.alias(name) for text, name in zip(texts, records.columns, strict=True))


def csv_bytes(
    cells: pl.DataFrame,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    end: str = "\n",
    quoting: int = csv.QUOTE_MINIMAL,
) -> bytes:
    """The cells as a delimited file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(cells.columns)
    writer.writerows([cell or "" for cell in row] for row in cells.rows())
    return text.getvalue().encode(encoding)


def workbook_bytes(cells: pl.DataFrame) -> bytes:
    """The cells on the only sheet of a workbook, all as text."""
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("answers")
    sheet.append(list(cells.columns))
    for row in cells.rows():
        sheet.append(list(row))
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def _typed_objects(records: pl.DataFrame) -> list[dict[str, Any]]:
    times = [name for name, kind in records.schema.items() if isinstance(kind, pl.Datetime)]
    texts = records.with_columns(as_text(records).select(times))
    return [{name: value for name, value in row.items() if value is not None} for row in texts.to_dicts()]


def json_bytes(records: pl.DataFrame) -> bytes:
    """Typed records as one JSON array: true and false, numbers, and no key for what was not asked."""
    return json.dumps(_typed_objects(records), ensure_ascii=False).encode()


def json_lines_bytes(records: pl.DataFrame) -> bytes:
    """The same, a record a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _typed_objects(records)).encode()


def parquet_bytes(records: pl.DataFrame) -> bytes:
    """Typed records as Parquet."""
    out = io.BytesIO()
    pq.write_table(records.to_arrow(), out)
    return out.getvalue()


def decimal_comma(cells: pl.DataFrame) -> pl.DataFrame:
    """Numbers with a comma for the decimal sign, as a German spreadsheet writes them."""
    numbers = [q.column for q in form() if q.type == "number" and q.column in cells.columns]
    return cells.with_columns(pl.col(numbers).str.replace(".", ",", literal=True))


FORMATS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    "csv": lambda r: csv_bytes(as_text(r)),
    "csv crlf, every cell quoted": lambda r: csv_bytes(as_text(r), end="\r\n", quoting=csv.QUOTE_ALL),
    "csv with byte order mark": lambda r: csv_bytes(as_text(r), encoding="utf-8-sig"),
    "tab": lambda r: csv_bytes(as_text(r), delimiter="\t"),
    "pipe": lambda r: csv_bytes(as_text(r), delimiter="|"),
    "semicolon": lambda r: csv_bytes(as_text(r), delimiter=";"),
    "semicolon and decimal comma": lambda r: csv_bytes(decimal_comma(as_text(r)), delimiter=";"),
    "utf-16": lambda r: csv_bytes(as_text(r), encoding="utf-16"),
    "utf-16 big endian": lambda r: b"\xfe\xff" + csv_bytes(as_text(r), encoding="utf-16-be"),
    "utf-16 without mark": lambda r: csv_bytes(as_text(r), encoding="utf-16-le"),
    "windows-1252": lambda r: csv_bytes(
        as_text(r).with_columns(pl.lit("schön naïve").alias("notes")), encoding="cp1252"
    ),
    "workbook": lambda r: workbook_bytes(as_text(r)),
    "json": json_bytes,
    "json lines": json_lines_bytes,
    "parquet": parquet_bytes,
    "parquet of texts": lambda r: parquet_bytes(as_text(r)),
    "csv, gzip": lambda r: gzip.compress(csv_bytes(as_text(r))),
    "json lines, gzip": lambda r: gzip.compress(json_lines_bytes(r)),
    "workbook, gzip": lambda r: gzip.compress(workbook_bytes(as_text(r))),
    "parquet, gzip": lambda r: gzip.compress(parquet_bytes(r)),
}
