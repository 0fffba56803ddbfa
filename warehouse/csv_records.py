"""Read an archived CSV file in blocks of records: number, original text and text cells of each.

Belongs here: the canonical CSV (UTF-8, comma, one header line) from bytes to text columns, and which records are not
well-formed. Does not belong here: what a cell may hold (``schemas.contract``). Nothing is padded, cast or guessed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv

from schemas.form import REQUIRED_COLUMNS, questions
from schemas.problems import FileRefused

BLOCK_BYTES = 16 << 20
RECORD_BYTES = 1 << 20  # an open quotation mark is taken for a stray one after this many bytes
_BOM = b"\xef\xbb\xbf"

# A quoted cell ends with its quotation mark: text after it would let a stray mark join two records unnoticed.
_FIELD = rb'(?:"(?:[^"]++|"")*+"|[^",\n][^,\n]*+|)'
_RECORD = re.compile(rb'[^"\n]*+\n|(?:%b(?:,%b)*+)\r?\n' % (_FIELD, _FIELD))


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of a file, in order.

    ``numbers``: record numbers, counted from 1 after the header. ``texts``: each record's original text. ``cells``:
    one text column a header column, one row for each well-formed record, with ``row`` its place in ``numbers``.
    ``broken``: row and code of the records that are not well-formed.
    """

    numbers: pl.Series
    texts: pl.Series
    cells: pl.DataFrame
    broken: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: its original text and the column names it holds."""

    text: str
    columns: tuple[str, ...]

    @property
    def unknown(self) -> int:
        """How many columns the form does not have; they stay in ``intake_raw`` only."""
        return sum(column not in questions() for column in self.columns)


def read(path: Path, *, clinic_known: bool) -> Iterator[Header | Block]:
    """The header of the file first, then its records in blocks.

    ``clinic_known``: the clinic is named from outside, so the ``clinic_id`` column may be missing.
    Raises FileRefused (empty_file, no_header, duplicate_column, missing_column, unreadable_encoding).
    """
    with path.open("rb") as file:
        first = file.read(BLOCK_BYTES)
        text = first.removeprefix(_BOM)
        if not text.strip():
            raise FileRefused("empty_file")
        lines, pending = _take_records(text, last=len(first) < BLOCK_BYTES)
        header = _header(lines[0][0] if lines else pending, clinic_known=clinic_known)
        yield header
        lines, number = lines[1:], 1
        while True:
            if lines:
                yield _block(header, lines, number)
                number += len(lines)
            more = file.read(BLOCK_BYTES)
            if not more and not pending:
                return
            lines, pending = _take_records(pending + more, last=not more)


def names_no_clinic(path: Path) -> bool:
    """Whether the file has a header of ours that lacks the ``clinic_id`` column, and nothing worse."""
    try:
        header = next(read(path, clinic_known=True))
    except FileRefused:
        return False
    return isinstance(header, Header) and "clinic_id" not in header.columns


def _header(line: bytes, *, clinic_known: bool) -> Header:
    text = _decoded(line)
    columns = tuple(cell.strip() for cell in next(csv.reader([text]), []))
    if not any(column in questions() for column in columns):
        raise FileRefused("no_header")
    twice = sorted({column for column in columns if columns.count(column) > 1 and column in questions()})
    if len(set(columns)) < len(columns):
        raise FileRefused("duplicate_column", tuple(twice))
    required = [column for column in REQUIRED_COLUMNS if not (clinic_known and column == "clinic_id")]
    missing = tuple(column for column in required if column not in columns)
    if missing:
        raise FileRefused("missing_column", missing)
    return Header(text, columns)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise FileRefused("unreadable_encoding") from None


def _take_records(text: bytes, *, last: bool) -> tuple[list[tuple[bytes, bool]], bytes]:
    """Whole records at the start of ``text`` (without line ends; true where a quotation mark stays open), and the rest.

    A quotation mark that is never closed would swallow every later record: its first line is given as broken and
    reading goes on with the next line.
    """
    if last and text and not text.endswith(b"\n"):
        text += b"\n"
    if b'"' not in text:
        *lines, rest = text.split(b"\n")
        return [(line, False) for line in (piece.removesuffix(b"\r") for piece in lines) if line], rest
    records: list[tuple[bytes, bool]] = []
    position = 0
    while position < len(text):
        match = _RECORD.match(text, position)
        if match and match.end() - position <= RECORD_BYTES:
            end, broken = match.end(), False
        elif not last and len(text) - position <= RECORD_BYTES:
            break
        else:
            end, broken = text.find(b"\n", position) + 1, True
            if end == 0:
                break
        if record := text[position:end].rstrip(b"\r\n"):
            records.append((record, broken))
        position = end
    return records, text[position:]


def _block(header: Header, records: list[tuple[bytes, bool]], first: int) -> Block:
    lines = [line for line, _ in records]
    texts = _texts(lines)
    open_quotes = [row for row, (_, broken) in enumerate(records) if broken]
    closed = [row for row, (_, broken) in enumerate(records) if not broken]
    cells, rows, miscounted = _cells(header.columns, [lines[row] for row in closed])
    broken = pl.DataFrame(
        {
            "row": open_quotes + [closed[row] for row in miscounted],
            "code": ["unclosed_quote"] * len(open_quotes) + ["cell_count"] * len(miscounted),
        },
        schema={"row": pl.UInt32, "code": pl.String},
    )
    return Block(
        numbers=pl.Series("record_number", range(first, first + len(records)), dtype=pl.Int64),
        texts=texts,
        cells=cells.with_columns(pl.Series("row", [closed[row] for row in rows], dtype=pl.UInt32)),
        broken=broken,
    )


def _texts(lines: list[bytes]) -> pl.Series:
    try:
        return pl.Series("record_text", pa.array(lines, pa.binary()).cast(pa.string()))
    except pa.ArrowInvalid:
        raise FileRefused("unreadable_encoding") from None


def _cells(columns: tuple[str, ...], lines: list[bytes]) -> tuple[pl.DataFrame, list[int], list[int]]:
    """Text cells of the well-formed lines, the places of those lines, and the places of lines with a wrong count."""
    known = [column for column in columns if column in questions()]
    if not lines:
        return pl.DataFrame(schema=dict.fromkeys(known, pl.String)), [], []
    miscounted: list[int] = []

    def skip(row: pacsv.InvalidRow) -> str:
        miscounted.append(row.number - 1)
        return "skip"

    table = pacsv.read_csv(
        io.BytesIO(b"\n".join(lines) + b"\n"),
        read_options=pacsv.ReadOptions(
            column_names=columns, use_threads=False, block_size=sum(map(len, lines)) + len(lines) + 1
        ),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False, include_columns=known
        ),
    )
    if table.num_rows + len(miscounted) != len(lines):
        return _cells_one_by_one(columns, lines)
    wrong = set(miscounted)
    return pl.DataFrame(pl.from_arrow(table)), [row for row in range(len(lines)) if row not in wrong], miscounted


def _cells_one_by_one(columns: tuple[str, ...], lines: list[bytes]) -> tuple[pl.DataFrame, list[int], list[int]]:
    """The same for the rare block whose stray carriage returns make the fast reader see other records than we do."""
    rows: list[int] = []
    miscounted: list[int] = []
    parsed: list[list[str]] = []
    for place, line in enumerate(lines):
        try:
            records = list(csv.reader([line.decode("utf-8")], strict=True))
        except (csv.Error, UnicodeDecodeError):
            records = []
        if len(records) == 1 and len(records[0]) == len(columns):
            rows.append(place)
            parsed.append(records[0])
        else:
            miscounted.append(place)
    known = [column for column in columns if column in questions()]
    frame = pl.DataFrame(parsed, schema=dict.fromkeys(columns, pl.String), orient="row").select(known)
    return frame, rows, miscounted
