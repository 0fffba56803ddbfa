"""Excel workbooks (.xlsx, .xlsm): the one sheet that holds the table, each row a record.

Belongs here: which sheet and which row is the header, and rows to records. Does not belong here: the zip archive
(``workbook_parts``), the text of a cell (``workbook_cells``). Macros, links and formulas are never followed or run.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO
from zipfile import ZipFile

from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.utils import get_column_letter

from schemas.file_limits import file_limits
from schemas.form import questions
from schemas.problems import FileRefused
from warehouse.formats.block import Source
from warehouse.formats.gathered import Gathered, Record, header_of
from warehouse.formats.workbook_cells import BookReader, SheetRows
from warehouse.formats.workbook_parts import checked_archive, merged_below


@dataclass(frozen=True, slots=True)
class _Table:
    """A sheet with its first row that holds anything: the row's number, and its names by column number."""

    sheet: Any
    row: int
    names: Mapping[int, str]


def open_workbook(file: BinaryIO) -> Source:
    """The table of the workbook: the only visible sheet with a header that the form knows, else the only sheet.

    ``file``: seekable. Rows without content are no records; hidden rows are. The original text of a record is its
    cells as JSON. Raises FileRefused (old_workbook, broken_file, packed_twice, not_a_known_format, too_large,
    packed_too_tightly, no_header, several_tables, merged_cells, duplicate_column, too_many_columns).
    """
    archive = checked_archive(file)
    with _only_refusals():
        reader = BookReader(file, read_only=True, data_only=True, keep_links=False)
        reader.read()
        book = reader.wb
        formats = _number_formats(book)
        table = _table([sheet for sheet in book.worksheets if sheet.sheet_state == "visible"], formats)
        columns = tuple(table.names.values())
        if len(set(columns)) < len(columns):
            twice = sorted({name for name in columns if columns.count(name) > 1 and name in questions()})
            raise FileRefused("duplicate_column", tuple(twice))
        if len(columns) > file_limits()["columns"]:
            raise FileRefused("too_many_columns")
        if _merged(archive, table):
            raise FileRefused("merged_cells")
    return Gathered(header_of(columns, "workbook"), partial(_records, table, formats))


@contextmanager
def _only_refusals() -> Iterator[None]:
    """Whatever the parsers make of a damaged workbook becomes a refusal; their messages hold cells, so none is kept."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FileRefused:
        raise
    except Exception:
        raise FileRefused("broken_file") from None


def _number_formats(book: Any) -> dict[int, str]:
    """Number format by style, for the styles that cells refer to."""
    sheet = next(iter(book.worksheets), None)
    styles = range(len(book._cell_styles))
    return {style: ReadOnlyCell(sheet, 1, 1, None, style_id=style).number_format or "" for style in styles}


def _rows(sheet: Any, formats: dict[int, str]) -> Iterator[tuple[int, dict[int, str]]]:
    book = sheet.parent
    with sheet._get_source() as source:
        yield from SheetRows(
            source,
            formats,
            shared_strings=sheet._shared_strings,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        ).rows()


def _table(sheets: list[Any], formats: dict[int, str]) -> _Table:
    headed = []
    for sheet in sheets:
        for number, cells in _rows(sheet, formats):
            if sum(map(len, cells.values())) > file_limits()["record_bytes"]:
                raise FileRefused("not_a_known_format")
            if names := {column: text.strip() for column, text in cells.items() if text.strip()}:
                headed.append(_Table(sheet, number, dict(sorted(names.items()))))
                break
    known = [table for table in headed if any(name in questions() for name in table.names.values())]
    if not headed:
        raise FileRefused("no_header")
    tables = known or headed
    if len(tables) > 1:
        raise FileRefused("several_tables")
    return tables[0]


def _merged(archive: ZipFile, table: _Table) -> bool:
    return merged_below(archive, table.sheet._worksheet_path, table.row)


def _records(table: _Table, formats: dict[int, str]) -> Iterator[Record]:
    rows = _rows(table.sheet, formats)
    while True:
        # Warnings are caught for one row at a time: the setting is the process's own and must not outlive a pause.
        with _only_refusals():
            number, cells = next(rows, (0, {}))
        if not number:
            return
        if number > table.row and any(not text.isspace() for text in cells.values()):
            yield _record(table, cells)


def _record(table: _Table, cells: dict[int, str]) -> Record:
    if sum(map(len, cells.values())) > file_limits()["record_bytes"]:
        return Record(_beginning(table, cells), {}, "too_long")
    named = {table.names.get(column): text for column, text in cells.items()}
    extra = {f"column {get_column_letter(c)}": text for c, text in cells.items() if c not in table.names}
    inside = {name: text for name, text in named.items() if name is not None}
    text = json.dumps(inside | extra, ensure_ascii=False)
    if any(not text.isspace() for text in extra.values()):
        return Record(text, {}, "cell_count")
    if len(text) > file_limits()["record_bytes"]:
        return Record(text, {}, "too_long")
    return Record(text, inside)


def _beginning(table: _Table, cells: dict[int, str]) -> str:
    """As much of a row as a record may hold: one stored text may stand in thousands of its cells."""
    room = file_limits()["record_bytes"]
    kept: dict[str, str] = {}
    for column, text in cells.items():
        kept[table.names.get(column, f"column {get_column_letter(column)}")] = text[:room]
        room -= len(text)
        if room <= 0:
            break
    return json.dumps(kept, ensure_ascii=False)
