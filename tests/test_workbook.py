"""Excel workbooks: cells come back as people see them there, and a workbook that cannot be trusted is refused."""

from __future__ import annotations

import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.file_limits import file_limits
from schemas.problems import problems
from tests.source_records import read, refusal
from warehouse.formats import gathered, workbook_parts
from warehouse.formats import workbook as workbook_module
from warehouse.formats.workbook import open_workbook
from warehouse.formats.workbook_cells import number_text

SHEET = "xl/worksheets/sheet1.xml"
TABLE = [["record_id", "age_years"], ["r1", 24], ["r2", None]]
AS_TEXT = [{"record_id": "r1", "age_years": "24"}, {"record_id": "r2"}]


def saved(book: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def workbook(*sheets: Sequence[Sequence[Any]], formats: dict[str, str] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
        for cell, number_format in (formats or {}).items():
            sheet[cell].number_format = number_format
    return saved(book)


def changed(content: bytes, part: str, change: Callable[[bytes], bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", packing) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return file.getvalue()


def replaced(old: bytes, new: bytes, part: str = SHEET) -> bytes:
    def change(text: bytes) -> bytes:
        assert old in text
        return text.replace(old, new, 1)

    return changed(workbook(TABLE), part, change)


def test_a_table_is_read() -> None:
    found = read(open_workbook, workbook(TABLE))
    assert (found.columns, found.records, found.broken) == (("record_id", "age_years"), AS_TEXT, {})
    assert [json.loads(text) for text in found.texts] == AS_TEXT


CELLS: list[tuple[Any, str, str]] = [
    ("007", "General", "007"),
    (" left ", "General", " left "),
    ("é\U0001f3c3\nx", "General", "é\U0001f3c3\nx"),
    (41, "General", "41"),
    (41.0, "0.00", "41"),
    (5.5, "General", "5.5"),
    (0.1 + 0.2, "General", "0.3"),
    (37.04, "0.0", "37.04"),
    (1e-7, "General", "0.0000001"),
    (123456789012345, "0", "123456789012345"),
    (-3, "General", "-3"),
    (True, "General", "true"),
    (False, "General", "false"),
    (0.25, "0%", "25%"),
    (0.255, "0%", "25.5%"),
    (0.00001, "0.00%", "0.001%"),
    (12.5, "0.0%", "1250%"),
    (25, '0"%"', "25"),
    (25, "0\\%", "25"),
    (123, "00000", "00123"),
    (1234.5, "#,##0.00", "1234.5"),
    (date(2026, 1, 31), "yyyy-mm-dd", "2026-01-31"),
    (date(2026, 1, 31), '[$-409]d-mmm-yy;@" hours"', "2026-01-31"),
    (datetime(2026, 1, 31, 9, 30), "yyyy-mm-dd h:mm:ss", "2026-01-31T09:30:00"),
    (datetime(2026, 1, 31), "yyyy-mm-dd h:mm:ss", "2026-01-31T00:00:00"),
    (datetime(2026, 1, 31, 9, 30), "yyyy-mm-dd", "2026-01-31T09:30:00"),
    (time(9, 30), "h:mm", "09:30:00"),
    (timedelta(hours=30, minutes=2, seconds=5), "[h]:mm:ss", "30:02:05"),
    (3_000_000, "yyyy-mm-dd", "#VALUE!"),
    ("#N/A", "General", "#N/A"),
    ("=1+1", "General", "=1+1"),
]


@pytest.mark.parametrize(("value", "number_format", "text"), CELLS)
def test_a_cell_is_given_as_people_see_it(value: Any, number_format: str, text: str) -> None:
    content = workbook([["record_id"], [value]], formats={"A2": number_format})
    assert read(open_workbook, content).cells == {1: {"record_id": text}}


STORED = {
    "stored result of a formula": (b"<f>1+1</f><v>2</v>", "2"),
    "formula without a result": (b"<f>1+1</f><v/>", "=1+1"),
    "a thousand with a sign that only Python takes": (b"<v>1_000</v>", "1_000"),
    "a number beyond any double": (b"<v>1e400</v>", "1e400"),
    "no number": (b"<v>abc</v>", "abc"),
    "digits of another script": ("<v>\u0665</v>".encode(), "\u0665"),
    "a number with an exponent": (b"<v>2.4E1</v>", "24"),
    "an identifier with more digits than Excel shows": (b"<v>12345678901234567</v>", "12345678901234567"),
    "the same with an exponent": (b"<v>1.2345678901234568E+17</v>", "123456789012345680"),
}


@pytest.mark.parametrize("kind", STORED)
def test_what_is_stored_is_never_read_as_another_number(kind: str) -> None:
    stored, text = STORED[kind]
    assert read(open_workbook, replaced(b"<v>24</v>", stored)).records[0]["age_years"] == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (b't="str"><f>IF(1,"")</f><v></v>', None),
        (b't="d"><v>2026-01-31T09:30:00+02:00</v>', "2026-01-31T09:30:00+02:00"),
        (b't="b"><v>1</v>', "true"),
        (b't="e"><v>#REF!</v>', "#REF!"),
        (b't="inlineStr"><is><r><t>le</t></r><r><t>ft</t></r></is>', "left"),
        (b't="inlineStr"><is><t>a_x000D_b_x005F_x000D__x001F__xD800_</t></is>', "a\rb_x000D__x001F__xD800_"),
    ],
)
def test_kinds_of_cells_that_other_programs_write(cell: bytes, text: str | None) -> None:
    content = changed(workbook(TABLE), SHEET, lambda xml: re.sub(rb't="n"><v>24</v>', lambda _: cell, xml))
    assert read(open_workbook, content).records[0].get("age_years") == text


def with_strings(strings: bytes) -> bytes:
    """The table with its column age_years taken from a table of shared strings, as Excel itself writes texts."""
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    override = b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + kind + b'"/></Types>'
    content = replaced(b't="n"><v>24</v>', b't="s"><v>1</v>')
    content = changed(content, "[Content_Types].xml", lambda xml: xml.replace(b"</Types>", override))
    file = io.BytesIO(content)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("error")
        archive.writestr("xl/sharedStrings.xml", strings)
    return file.getvalue()


STRINGS = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>x</t></si><si>%b</si></sst>'


@pytest.mark.parametrize(
    ("string", "text"),
    [
        (b"<t>left</t>", "left"),
        (b"<t>a_x005F_x000D_b</t>", "a_x000D_b"),
        (b"<t>a_x000D_b</t>", "a\rb"),
        (b"<t>ax005F_b</t>", "ax005F_b"),
        (b"<r><t>le</t></r><r><rPr><b/></rPr><t xml:space='preserve'>ft </t></r>", "left "),
        (b"<t>007</t>", "007"),
    ],
)
def test_shared_strings_are_given_as_they_are(string: bytes, text: str) -> None:
    assert read(open_workbook, with_strings(STRINGS % string)).records[0]["age_years"] == text


def test_a_dimension_that_lies_cuts_nothing() -> None:
    assert read(open_workbook, replaced(b'ref="A1:B3"', b'ref="A1:A2"')).records == AS_TEXT


def test_rows_without_content_are_no_records_and_hidden_rows_are() -> None:
    book = openpyxl.Workbook()
    rows = [[None], ["record_id", None, "notes", None], [None, " "], ["r1", None, None, " "], [], ["r2", "", "x"]]
    for place, row in enumerate(rows, start=3):
        for column, value in enumerate(row, start=2):
            book.active.cell(place, column, value)
    book.active.row_dimensions[6].hidden = True
    found = read(open_workbook, saved(book))
    assert found.columns == ("record_id", "notes")
    assert (found.records, found.broken) == ([{"record_id": "r1"}, {"record_id": "r2", "notes": "x"}], {})


@pytest.mark.parametrize("column", ["B", "D"])
def test_content_under_no_name_breaks_its_record_only(column: str) -> None:
    book = openpyxl.Workbook()
    for row in (["record_id", None, "notes"], ["r1"], ["r2"], ["r3"]):
        book.active.append(row)
    book.active[f"{column}3"] = "stray"
    found = read(open_workbook, saved(book))
    assert found.broken == {2: "cell_count"}
    assert [record["record_id"] for record in found.records] == ["r1", "r3"]
    assert "stray" in found.texts[1]


OTHER = [["code", "meaning"], ["1", "yes"]]
SHEETS: dict[str, tuple[list[list[list[Any]]], list[str], str]] = {
    "one sheet with other names": ([OTHER], [], ""),
    "the table and a list of codes": ([OTHER, TABLE], [], ""),
    "the table and an empty sheet": ([TABLE, []], [], ""),
    "the table and a hidden one": ([TABLE, TABLE], ["Sheet1"], ""),
    "two tables": ([TABLE, TABLE], [], "several_tables"),
    "two sheets with other names": ([OTHER, OTHER], [], "several_tables"),
    "only a hidden table": ([[], TABLE], ["Sheet1"], "no_header"),
    "nothing": ([[]], [], "no_header"),
    "a name twice": ([[["record_id", "age_years", " age_years "]]], [], "duplicate_column"),
    "too many columns": ([[["record_id", *(f"c{n}" for n in range(5000))]]], [], "too_many_columns"),
}


@pytest.mark.parametrize("kind", SHEETS)
def test_the_sheet_with_the_table_is_found_or_the_workbook_refused(kind: str) -> None:
    sheets, hidden, code = SHEETS[kind]
    book = openpyxl.load_workbook(io.BytesIO(workbook(*sheets)))
    for name in hidden:
        book[name].sheet_state = "hidden"
    content = saved(book)
    assert refusal(open_workbook, content) == code
    if not code:
        expected = OTHER if sheets == [OTHER] else TABLE
        assert read(open_workbook, content).columns == tuple(expected[0])


@pytest.mark.parametrize(("cells", "code"), [("A2:A3", "merged_cells"), ("A1:A2", "merged_cells"), ("C1:D1", "")])
def test_merged_cells_below_the_header_are_refused(cells: str, code: str) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook(TABLE)))
    book.active.merge_cells(cells)
    assert refusal(open_workbook, saved(book)) == code


def test_a_merge_that_straddles_two_pieces_of_the_sheet_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook(TABLE)))
    book.active.merge_cells("A2:B2")
    content = saved(book)
    for size in range(300, 340):
        monkeypatch.setattr(workbook_parts, "PIECE", size)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert workbook_parts.merged_below(archive, SHEET, 1)


DTD = b'<!DOCTYPE x [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;">]>'
EXTERNAL = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def with_doctype(part: str, doctype: bytes) -> bytes:
    def change(xml: bytes) -> bytes:
        start, end, rest = xml.rpartition(b"?>") if xml.startswith(b"<?xml") else (b"", b"", xml)
        return start + end + doctype + rest

    return changed(workbook(TABLE), part, change)


def bomb(size: int, packing: int) -> bytes:
    return changed(workbook(TABLE), SHEET, lambda xml: xml + b" " * size, packing)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "old workbook or password": (lambda: workbook_parts.OLD_OR_PROTECTED + b"\0" * 600, "old_workbook"),
    "binary workbook": (lambda: archive_of("[Content_Types].xml", "xl/workbook.bin"), "old_workbook"),
    "archive of files": (lambda: archive_of("a.csv", "b.csv"), "packed_twice"),
    "text document": (lambda: archive_of("[Content_Types].xml", "word/document.xml"), "not_a_known_format"),
    "strict workbook": (
        lambda: replaced(b"http://schemas.openxmlformats.org/", b"http://purl.oclc.org/ooxml/", "xl/workbook.xml"),
        "old_workbook",
    ),
    "no archive": (lambda: b"PK\x03\x04 and nothing else", "broken_file"),
    "cut short": (lambda: workbook(TABLE)[:-40], "broken_file"),
    "a name twice": (lambda: with_twice(), "broken_file"),
    "another packing": (lambda: changed(workbook(TABLE), SHEET, bytes, zipfile.ZIP_LZMA), "broken_file"),
    "document type": (lambda: with_doctype(SHEET, DTD), "broken_file"),
    "document type among the strings": (lambda: with_strings(DTD + STRINGS % b"<t>&b;</t>"), "broken_file"),
    "document type of the workbook": (lambda: with_doctype("xl/workbook.xml", DTD), "broken_file"),
    "document type behind a megabyte of comments": (
        lambda: with_doctype(SHEET, b"<!-- x -->\n" * (1 << 17) + DTD),
        "broken_file",
    ),
    "entity of another file": (lambda: with_doctype(SHEET, EXTERNAL), "broken_file"),
    "another encoding": (
        lambda: changed(workbook(TABLE), SHEET, lambda xml: xml.decode().encode("utf-16")),
        "broken_file",
    ),
    "another encoding, declared": (
        lambda: changed(workbook(TABLE), SHEET, lambda x: b'<?xml version="1.0" encoding="windows-1252"?>' + x),
        "broken_file",
    ),
    "packed too tightly": (lambda: bomb(40 << 20, zipfile.ZIP_DEFLATED), "packed_too_tightly"),
    "one sign of markup that never ends": (
        lambda: replaced(
            b"<sheetData>", b"<sheetData a='" + random.Random(0).randbytes(3 << 20).hex().encode() + b"'>"
        ),
        "broken_file",
    ),
    "broken XML": (lambda: changed(workbook(TABLE), SHEET, lambda xml: xml[:-90]), "broken_file"),
    "rows out of order": (lambda: replaced(b'<row r="3"', b'<row r="2"'), "broken_file"),
    "a row beyond the sheet": (lambda: replaced(b'<row r="3"', b'<row r="99999999999"'), "broken_file"),
    "a cell twice": (lambda: replaced(b'r="B2"', b'r="A2"'), "broken_file"),
    "a cell beyond the sheet": (lambda: replaced(b'r="B2"', b'r="ZZZ2"'), "broken_file"),
    "a text that is not in the table of texts": (lambda: replaced(b't="n"><v>24', b't="s"><v>99'), "broken_file"),
    "a text before the table of texts": (lambda: replaced(b't="n"><v>24', b't="s"><v>-1'), "broken_file"),
    "no such truth": (lambda: replaced(b't="n"><v>24', b't="b"><v>7'), "broken_file"),
}


def archive_of(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"<x/>")
    return file.getvalue()


def with_twice() -> bytes:
    file = io.BytesIO(workbook(TABLE))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(SHEET, b"<x/>")
    return file.getvalue()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_workbook_that_cannot_be_trusted_is_refused(kind: str) -> None:
    made, code = HOSTILE[kind]
    assert refusal(open_workbook, made()) == code
    assert problems()[code].severity == "refuse"


def test_sizes_are_taken_from_the_directory_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"workbook_bytes": 2000, "compression_ratio": 200, "columns": 5000, "record_bytes": 1 << 20}
    monkeypatch.setattr(workbook_parts, "file_limits", lambda: limits)
    content = workbook(TABLE)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    assert refusal(open_workbook, content) == "too_large"


def test_a_row_without_end_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.formats.workbook_cells.HELD_ELEMENTS", 1000)
    long = b'<row r="3">' + b"<c/>" * 2000
    assert refusal(open_workbook, replaced(b'<row r="3">', long)) == "broken_file"
    many = workbook([["record_id"], *([n] for n in range(2000))])
    assert len(read(open_workbook, many).records) == 2000


def test_a_text_in_many_cells_of_a_row_is_never_written_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = file_limits() | {"record_bytes": 100}
    content = workbook([["record_id", "side", "notes"], ["r1", "x" * 60, "x" * 60], ["r2", "left", ""]])
    monkeypatch.setattr(workbook_module, "file_limits", lambda: limits)
    found = read(open_workbook, content)
    assert found.broken == {1: "too_long"} and found.cells[2]["side"] == "left"
    assert len(found.texts[0]) < 160


def test_blocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "BLOCK_RECORDS", 10)
    assert read(open_workbook, workbook([["record_id"], *([n] for n in range(25))])).sizes == [10, 10, 5]


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=100)
def test_a_number_keeps_fifteen_digits(number: float) -> None:
    text = number_text(repr(number), "General")
    assert float(text) == (float(f"{number:.15g}") if abs(number) < 1e15 else number)


def as_shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


cells = (
    st.none()
    | st.booleans()
    | st.integers(-(10**14), 10**14)
    | st.from_regex(r"[a-zé&<>\"' \n0-9.:-]{0,8}[a-zé&<>\"']", fullmatch=True)
)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=8))
@settings(max_examples=25, deadline=None)
def test_written_rows_come_back_equal(rows: list[list[object]]) -> None:
    names = ["record_id", "notes", "x"]
    found = read(open_workbook, workbook([names, *rows]))
    expected = [
        {name: as_shown(value) for name, value in zip(names, row, strict=True) if value is not None} for row in rows
    ]
    assert found.records == [record for record in expected if record]
    assert found.broken == {}


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_never_give_another_value(seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(workbook(TABLE))
    for _ in range(chance.randint(1, 3)):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    if not refusal(open_workbook, bytes(content)):
        assert read(open_workbook, bytes(content)).records == AS_TEXT


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_damaged_xml_gives_a_refusal_or_records(seed: int) -> None:
    chance = random.Random(seed)

    def damage(xml: bytes) -> bytes:
        text = bytearray(xml)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(text))
            text[place : place + chance.randint(0, 2)] = chance.choice([b"<", b">", b"9", b"", b'"', b"/", b"-", b"_"])
        return bytes(text)

    part = chance.choice([SHEET, "xl/workbook.xml", "xl/styles.xml", "[Content_Types].xml"])
    assert refusal(open_workbook, changed(workbook(TABLE), part, damage)) in {"", *problems()}
