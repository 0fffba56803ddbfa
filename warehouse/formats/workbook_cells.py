"""Cells of an Excel sheet as the text that people see there.

Belongs here: from a stored cell and its number format to text. Does not belong here: which sheet holds the table, or
what the text means. openpyxl parses the rows; this module keeps what it would drop or blur.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, iterparse

from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import is_datetime
from openpyxl.worksheet._reader import DATA_TAG, FORMULA_TAG, ROW_TAG, VALUE_TAG, WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS

from schemas.problems import FileRefused
from warehouse.formats.block import SEVERAL
from warehouse.formats.rendering import plain_number

GENERAL = "General"  # the format of a number without one
DIGITS = 15  # significant digits that Excel keeps and shows
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
HELD_ELEMENTS = 1_000_000  # of one row, or of all that stands outside rows
_NUMBER = re.compile(r"[+-]?[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_SHOWN_AS_IS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_MAIN = f"{{{SHEET_MAIN_NS}}}"
_ZEROS = re.compile("0{2,}")


class BookReader(ExcelReader):  # type: ignore[misc]
    """openpyxl's reader of workbooks, but for texts: it takes x005F_ out of them wherever it stands."""

    def read_strings(self) -> None:
        """Fill the table of shared strings, each as it is stored."""
        part = self.package.find(SHARED_STRINGS)
        if part is not None:
            with self.archive.open(part.PartName[1:]) as source:
                self.shared_strings = list(_shared_strings(source))


def _shared_strings(source: BinaryIO) -> Iterator[str]:
    root: Element | None = None
    for event, element in iterparse(source, ("start", "end")):  # noqa: S314 - workbook_parts refuses document types
        if root is None:
            root = element
        elif event == "end" and element.tag == f"{_MAIN}si":
            runs = (element, *element.findall(f"{_MAIN}r"))
            yield "".join(text for run in runs for text in (run.findtext(f"{_MAIN}t"),) if text)
            root.clear()


class SheetRows(WorkSheetParser):  # type: ignore[misc]
    """Rows of a sheet with their numbers, each a dict of non-empty cells as text by column number (from 1).

    ``source``: the sheet's XML. ``formats``: number format by style. The reader of openpyxl that hands out rows skips
    rows out of order, pads missing ones without bound and keeps every row's element; its parsing of a row is used.
    """

    def __init__(self, source: BinaryIO, formats: dict[int, str], **options: Any) -> None:
        super().__init__(source, data_only=True, **options)
        self._formats = formats

    def rows(self) -> Iterator[tuple[int, dict[int, str]]]:
        """Row number and cells, in ascending order. Raises FileRefused (broken_file), and what openpyxl raises."""
        held, last = 0, 0
        table: Element | None = None
        for event, element in iterparse(self.source, ("start", "end")):  # noqa: S314 - workbook_parts refuses document types
            if event == "start":
                held += 1
                table = element if element.tag == DATA_TAG else table
                if held > HELD_ELEMENTS:
                    raise FileRefused("broken_file")
            elif element.tag == ROW_TAG and table is not None:
                number, cells = self.parse_row(element)
                if not last < number <= LAST_ROW:
                    raise FileRefused("broken_file")
                yield number, self._texts(cells)
                last, held = number, 0
                table.clear()
                self.row_dimensions.clear()

    @staticmethod
    def _texts(cells: list[dict[str, Any]]) -> dict[int, str]:
        texts: dict[int, str] = {}
        seen = set()
        for cell in cells:
            column = cell["column"]
            if column in seen or column > LAST_COLUMN:
                raise FileRefused("broken_file")
            seen.add(column)
            if cell["value"]:
                texts[column] = cell["value"]
        return texts

    def parse_cell(self, element: Element) -> dict[str, Any]:
        """The cell with its value as text ('' for none); a formula without a stored result as its formula."""
        stored = element.findtext(VALUE_TAG) or ""
        kind = element.get("t", "n")
        if (kind == "s" and stored and not stored.isdecimal()) or (kind == "b" and stored not in ("", "0", "1")):
            raise FileRefused("broken_file")
        if kind == "d" or (kind == "n" and not _is_number(stored)):
            element.set("t", "str")  # openpyxl reads 1_000 as a number and drops the offset of a time: kept as text
        cell: dict[str, Any] = super().parse_cell(element)
        formula = element.find(FORMULA_TAG)
        if formula is not None and not stored and (kind != "str" or element.find(VALUE_TAG) is None):
            cell["value"] = f"={formula.text or ''}"
        else:
            cell["value"] = self._text(cell["value"], stored, cell["style_id"])
        return cell

    def _text(self, value: Any, stored: str, style: int) -> str:
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case int() | float():
                return number_text(stored.strip(), self._formats.get(style, GENERAL))
            case datetime() | date() | time() | timedelta():
                return time_text(value, self._formats.get(style, ""))
            case _:
                return _ESCAPE.sub(_unescaped, str(value))


def _unescaped(escape: re.Match[str]) -> str:
    """The sign that Office writes as _xHHHH_; half a surrogate pair and our own sign stay as they are written."""
    sign = chr(int(escape[1], 16))
    return escape[0] if sign == SEVERAL or "\ud800" <= sign <= "\udfff" else sign


def _is_number(stored: str) -> bool:
    text = stored.strip(" \t\r\n")
    return not text or (text[-1] != "." and any(map(str.isdigit, text)) and bool(_NUMBER.fullmatch(text)))


def number_text(stored: str, number_format: str) -> str:
    """A stored number with 15 significant digits (longer ones whole); percentages and leading zeros as shown.

    ``number_format``: Excel's format code. 0.25 shown as a percentage is '25%' and not '0.25', which could pass for
    another answer. Only the first section of a format is looked at, as only it applies to ordinary numbers.
    """
    if number_format == GENERAL and stored.isdecimal() and stored[0] != "0":
        return stored
    shown = _SHOWN_AS_IS.sub("", number_format.partition(";")[0])
    if not stored.lstrip("+-").isdecimal():
        value = float(stored)
        stored = f"{value:.{DIGITS}g}" if abs(value) < 10**DIGITS else stored
    if percent := shown.count("%"):
        return plain_number(str(Decimal(stored).scaleb(2 * percent))) + "%" * percent
    plain = plain_number(stored)
    if _ZEROS.fullmatch(shown) and plain.isdecimal():
        return plain.zfill(len(shown))
    return plain


def time_text(value: datetime | date | time | timedelta, number_format: str) -> str:
    """A date or time as ISO 8601 without offset, a date alone where only a date is shown; durations as H:MM:SS."""
    if isinstance(value, timedelta):
        minutes, seconds = divmod(abs(value).total_seconds(), 60)
        sign = "-" if value < timedelta() else ""
        return f"{sign}{int(minutes // 60)}:{int(minutes % 60):02}:{f'{seconds:06.3f}'.rstrip('0').rstrip('.')}"
    if isinstance(value, datetime) and value.time() == time():
        shown = _SHOWN_AS_IS.sub("", number_format.partition(";")[0]).lower()
        return value.date().isoformat() if is_datetime(shown) == "date" else value.isoformat()
    return value.isoformat()
