"""Rows of a query as an Excel workbook: one sheet of rows whose first line names the columns, one sheet about them.

Belongs here: what a cell of a workbook may hold. Does not belong here: which rows, and what is said about them
(``pipelines``). openpyxl writes row after row; a sheet waits in a temporary file of its owner's and is removed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ERROR_CODES
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from warehouse.exports import FORMULA_STARTS, Result, columns_of, plain, rows_of

ROWS_AT_MOST = 1_048_576 - 1  # of a sheet, without the line of names
TEXT_AT_MOST = 32_767  # characters of a cell
CUT = " [cut here: longer than a cell of Excel holds]"
WHOLE_NUMBERS_TO = 10**15  # Excel keeps 15 digits of a number
FIRST_YEAR = 1900  # of Excel's calendar
TIME_FORMAT = "yyyy-mm-dd hh:mm:ss"
WIDTH, WIDE = 18, 44
ABOUT = "about"

# What XML cannot hold, and what drives a program instead of being read.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")  # Excel reads _x0041_ as A


class SheetFull(Exception):
    """There are more rows than a sheet holds; the message is one plain sentence."""


def write_workbook(
    result: Result,
    file: Path | BinaryIO,
    *,
    sheet: str,
    about: Sequence[tuple[str, str]],
    heading: str,
    at: ZoneInfo,
) -> int:
    """Write a result as a workbook; gives the number of rows. Raises SheetFull.

    ``sheet``: name of the sheet of rows, the first one; its first line names the columns. ``about``: lines of the
    second sheet, what and what is said of it. ``heading`` stands above each printed page. ``at``: a time becomes a date
    of Excel by the clock of this zone; one that Excel has no date for stays text in ISO 8601. A text stays a text and
    is never a formula, a number stays a number, a nested value becomes JSON.
    """
    book = Workbook(write_only=True)
    book.properties.creator = "hiptriage"
    try:
        count = _rows(book, sheet, columns_of(result), rows_of(result), heading, at)
        _about(book, about)
        book.save(file)
    finally:
        for made in book.worksheets:
            _removed(made)
    return count


def _rows(
    book: Workbook, name: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]], heading: str, at: ZoneInfo
) -> int:
    made = book.create_sheet(name)
    made.freeze_panes = "A2"
    made.print_title_rows = "1:1"
    made.page_setup.orientation = "landscape"
    made.HeaderFooter.oddHeader.center.text = _fit(heading).replace("&", "&&")
    for place in range(1, len(columns) + 1):
        made.column_dimensions[get_column_letter(place)].width = WIDTH
    made.append([_named(made, column) for column in columns])
    count = 0
    for count, row in enumerate(rows, 1):
        if count > ROWS_AT_MOST:
            raise SheetFull("there are more rows than a sheet of Excel holds: take csv or parquet")
        made.append([_cell(made, value, at) for value in row])
    return count


def _about(book: Workbook, lines: Sequence[tuple[str, str]]) -> None:
    made = book.create_sheet(ABOUT)
    made.column_dimensions["A"].width, made.column_dimensions["B"].width = WIDTH, 2 * WIDE
    for what, said in lines:
        made.append([_named(made, what), _text(made, said)])


def _named(sheet: Any, text: str) -> WriteOnlyCell:
    cell = _text(sheet, text)
    if isinstance(cell, str):
        cell = WriteOnlyCell(sheet, cell)
    cell.font = Font(bold=True)
    return cell


def _cell(sheet: Any, value: Any, at: ZoneInfo) -> Any:
    """A value as a cell of its own kind: text, number, yes or no, date."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        local = value.astimezone(at).replace(tzinfo=None) if value.tzinfo else value
        return _date(sheet, local) if local.year > FIRST_YEAR else _text(sheet, plain(value))
    if isinstance(value, int) and abs(value) < WHOLE_NUMBERS_TO:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, dict)):
        return _text(sheet, json.dumps(value, default=plain, ensure_ascii=False))
    return _text(sheet, str(value))


def _date(sheet: Any, local: datetime) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, local.replace(microsecond=0))
    cell.number_format = TIME_FORMAT
    return cell


def _text(sheet: Any, text: str) -> Any:
    """A text as text, whatever it begins with: openpyxl takes = for a formula and #N/A for an error."""
    fit = _fit(text)
    if not fit.startswith(FORMULA_STARTS) and fit not in ERROR_CODES:
        return fit
    cell = WriteOnlyCell(sheet, fit)
    cell.data_type = "s"
    cell.quotePrefix = True  # stays text also when somebody edits the cell
    return cell


def _fit(text: str) -> str:
    """The text as a cell can hold it: a sign that it cannot hold made visible, a text too long with a word on that."""
    shown = _ESCAPE.sub("_x005F_", _UNFIT.sub(lambda found: _visible(found[0]), text))
    return shown if len(shown) <= TEXT_AT_MOST else shown[: TEXT_AT_MOST - len(CUT)] + CUT


def _visible(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def _removed(sheet: Any) -> None:
    """Remove the sheet's temporary file where it was not saved: openpyxl would keep it until the process ends."""
    writer = sheet._writer
    if writer is not None and Path(writer.out).exists():
        if not sheet.closed:
            sheet.close()
        writer.cleanup()
