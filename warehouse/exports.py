"""Rows of a query written out for other programs: CSV that no spreadsheet runs, JSON, Parquet.

Belongs here: turning a result into text or a file. Does not belong here: which rows (``warehouse.snapshot_reading``
and the commands). Results stream; none is held as a whole.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

import duckdb

# What makes a spreadsheet take a text for a formula (OWASP, CSV injection), and the full-width forms of the signs.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - meant as they are
ROWS_AT_ONCE = 1000


class Result(Protocol):
    """What a query gave, of DuckDB itself or of ``warehouse.statements``."""

    @property
    def description(self) -> Any:
        """The columns, each a row that begins with its name."""

    def fetchmany(self, size: int, /) -> list[Any]:
        """At most ``size`` further rows; none at the end."""


def columns_of(result: Result) -> list[str]:
    """The column names of a result."""
    return [column[0] for column in result.description or []]


def rows_of(result: Result) -> Iterator[tuple[Any, ...]]:
    """The rows of a result, fetched a thousand at a time."""
    while rows := result.fetchmany(ROWS_AT_ONCE):
        yield from rows


def dicts_of(result: Result) -> list[dict[str, Any]]:
    """The rows of a result that is small enough to hold, each by column name."""
    columns = columns_of(result)
    return [dict(zip(columns, row, strict=True)) for row in rows_of(result)]


def safe_cell(value: Any) -> Any:
    """A cell that a spreadsheet shows and does not run.

    A text that could start a formula gets a quotation mark in front; a number stays a number (-3 too), a time
    becomes ISO 8601 in UTC, a nested value JSON.
    """
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=plain, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def write_csv(result: Result, stream: TextIO) -> int:
    """Write a result as formula-safe CSV with a header; gives the number of rows."""
    return write_rows(columns_of(result), rows_of(result), stream)


def write_rows(columns: Sequence[str], rows: Iterable[tuple[Any, ...]], stream: TextIO) -> int:
    """Write rows of any origin as formula-safe CSV with a header; gives the number of rows."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in columns])
    count = 0
    for row in rows:
        writer.writerow([safe_cell(value) for value in row])
        count += 1
    return count


def write_json(result: Result, stream: TextIO) -> int:
    """Write a result as one JSON array of objects, nested values nested, times ISO 8601 with +00:00; gives the rows."""
    names = columns_of(result)
    return write_array((_object(names, row) for row in rows_of(result)), stream)


def objects(connection: duckdb.DuckDBPyConnection, query: str, bound: dict[str, Any]) -> Iterator[str]:
    """The rows of ``query`` as JSON objects, written by DuckDB: for wide nested rows far quicker than by Python.

    ``query`` must name each of its columns once.
    """
    # the query is asked for its types alone first
    typed = connection.execute(f"SELECT * FROM ({query}) LIMIT 0", bound).description or []
    packed = ", ".join(f"{_named(name)} := {_json_ready(f'q.{_named(name)}', kind)}" for name, kind, *_ in typed)
    result = connection.execute(f"SELECT to_json(struct_pack({packed}))::VARCHAR FROM ({query}) q", bound)
    return (text for (text,) in rows_of(result))


def flat(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """A query for the rows of ``query`` with each nested column as JSON text, written by DuckDB as ``objects`` does."""
    typed = connection.execute(f"SELECT * FROM ({query}) LIMIT 0").description or []
    columns = (
        f"to_json({_json_ready(f'q.{_named(name)}', kind)})::VARCHAR AS {_named(name)}"
        if kind.id in ("list", "struct")
        else _named(name)
        for name, kind, *_ in typed
    )
    return f"SELECT {', '.join(columns)} FROM ({query}) q"


def write_array(objects_in: Iterable[str], stream: TextIO) -> int:
    """Write JSON objects as one array, one on a line; gives their number."""
    count = 0
    stream.write("[")
    for text in objects_in:
        stream.write(",\n" if count else "\n")
        stream.write(text)
        count += 1
    stream.write("\n]\n" if count else "]\n")
    return count


def _object(names: list[str], row: tuple[Any, ...]) -> str:
    value = dict(zip(names, row, strict=True))
    return json.dumps(value, default=plain, ensure_ascii=False, allow_nan=False)


def _named(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _json_ready(value: str, kind: Any, depth: int = 0) -> str:
    """SQL that gives ``value``, of DuckDB type ``kind``, with every time in it as ISO 8601 in UTC."""
    if "TIMESTAMP" not in str(kind):
        return value
    if kind.id == "list":
        item = f"item{depth}"
        return f"list_transform({value}, lambda {item}: {_json_ready(item, kind.child, depth + 1)})"
    if kind.id == "struct":
        parts = (f"{_named(name)} := {_json_ready(f'{value}.{_named(name)}', of, depth)}" for name, of in kind.children)
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"
    text = f"strftime({value} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%f+00:00')"
    return f"replace({text}, '.000000+', '+')"


def write_parquet(result: duckdb.DuckDBPyConnection, file: Path | BinaryIO) -> int:
    """Write a result as Parquet with its own types; gives the number of rows."""
    import pyarrow.parquet as parquet  # slow to load, and no other format needs it

    count = 0
    batches = result.to_arrow_reader(ROWS_AT_ONCE * 20)
    with parquet.ParquetWriter(file, batches.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


@contextmanager
def as_text(stream: BinaryIO) -> Iterator[TextIO]:
    """A stream of bytes as one of UTF-8 text; the stream of bytes stays open."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        yield text
    finally:
        text.detach()


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A new file beside ``file``, readable by its owner alone, that takes its place if all goes well."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(descriptor)
    half = Path(name)
    try:
        yield half
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat() if value.tzinfo else value.isoformat()


def plain(value: Any) -> str:
    """A value that JSON has no kind for, as text: times ISO 8601 in UTC."""
    return _iso(value) if isinstance(value, datetime) else str(value)
