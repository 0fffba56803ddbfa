"""Damaged files: a record loads as it was, or is refused; it never comes in with another value.

Three kinds of damage, 2,400 files in all. A byte that no answer of the file holds can only make a cell unreadable. Any
other change may spell another legal answer, which nobody can know: there the loaded values are held against a second,
plain reading of the damaged bytes. Formats with checksums have to notice every change.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import re
import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from schemas.contract import split
from schemas.form import questions
from schemas.mapping.mapped import CELL_PROBLEMS
from schemas.problems import FileRefused
from tests.written_records import csv_bytes, json_lines_bytes, workbook_bytes
from warehouse.formats.recognise import opened_source
from warehouse.reading_plan import plan_with

RECEIVED = datetime(2026, 11, 1, tzinfo=UTC)
COLUMNS = [
    "record_id", "clinic_id", "submitted_at", "age_years", "sex", "weight_kg", "weight_bearing", "systemic__fever",
    "systemic__none_of_these", "neuro__saddle_numbness", "night_pain", "duration_weeks", "side",
]  # fmt: skip
RECORDS = pl.DataFrame(
    [
        ["a-1", "north", "2026-01-02T10:00:00Z", "31", "female", "58.5", "limp", "1", None, "0", "1", "6", "left"],
        [
            "b-2",
            "north",
            "2026-02-03T11:30:00+01:00",
            "64",
            "male",
            None,
            "normal",
            None,
            "1",
            None,
            "0",
            "12.5",
            "both",
        ],
        ["c-3", "north", "2026-03-04T12:15:30Z", None, None, "71", "cannot", "0", None, "1", None, "520", "right"],
        ["d-4", "north", "2026-10-25T02:30:00Z", "17", "other", "80.25", None, None, None, None, "1", None, None],
    ],
    schema=dict.fromkeys(COLUMNS, pl.String),
    orient="row",
)
TYPED = RECORDS.with_columns(
    pl.col("submitted_at").str.to_datetime("%+", time_zone="UTC", time_unit="us"),
    pl.col("age_years").cast(pl.Int32),
    pl.col("weight_kg", "duration_weeks").cast(pl.Float64),
    *(pl.col(c).cast(pl.Int8).cast(pl.Boolean) for c in COLUMNS if questions()[c].type == "yesno"),
)
Row = tuple[Any, ...]
WHOLE = {row[0]: row for row in TYPED.rows()}


def typed_rows(files: list[bytes], folder: Path) -> Iterator[tuple[int, int, Row]]:
    """File, record number and typed answers of every record that the product accepts of these files.

    All files go through the contract together, as records of one batch: they are read one by one.
    """
    cells, problems, origin, height = [], [], [], 0
    path = folder / "damaged"
    for number, content in enumerate(files):
        path.write_bytes(content)
        try:
            with opened_source(path) as source:
                plan = plan_with(source, (), clinic_known=False)
                for block in source.blocks(plan.wanted):
                    mapped = plan.to_form(block.cells)
                    places = block.numbers.gather(block.cells["row"]).to_list()
                    problems.append(mapped.problems.with_columns(pl.col("row") + height))
                    cells.append(mapped.cells)
                    origin += [(number, place) for place in places]
                    height += len(places)
        except FileRefused:
            continue
    known = [cell for cell in cells if cell.height]
    together = pl.concat(known, how="diagonal").select(COLUMNS)
    found = pl.concat([problem.cast(CELL_PROBLEMS) for problem in problems])
    parts = split(together, clinic=None, received_at=RECEIVED, problems=found)
    for place, *answers in parts.accepted.select("row", *COLUMNS).rows():
        yield (*origin[place], tuple(answers))


def check_equal_or_refused(files: list[bytes], folder: Path) -> int:
    """Every accepted record is one of the originals; gives how many there were."""
    accepted = 0
    for number, _, row in typed_rows(files, folder):
        assert row == WHOLE.get(row[0]), (number, files[number])
        accepted += 1
    return accepted


DIALECTS: dict[str, Callable[[], bytes]] = {
    "comma": lambda: csv_bytes(RECORDS),
    "semicolon, quoted, crlf": lambda: csv_bytes(RECORDS, delimiter=";", end="\r\n", quoting=csv.QUOTE_ALL),
    "tab": lambda: csv_bytes(RECORDS, delimiter="\t"),
    "byte order mark": lambda: csv_bytes(RECORDS, encoding="utf-8-sig"),
    "json lines": lambda: json_lines_bytes(TYPED),
}
# Bytes that stand in no answer and are no white space, so that a cell with one of them cannot be another answer; and a
# line feed.
_IN_ANSWERS = "+-._:" + string.ascii_letters + string.digits
FOREIGN = [byte for byte in range(256) if chr(byte) not in _IN_ANSWERS and not chr(byte).isspace()] + [ord("\n")]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_foreign_byte_makes_no_other_answer(dialect: str, tmp_path: Path) -> None:
    whole, draw = DIALECTS[dialect](), random.Random(f"foreign {dialect}")
    files = []
    for _ in range(300):
        place, byte = draw.randrange(len(whole)), bytes([draw.choice(FOREIGN)])
        files.append(whole[:place] + byte + whole[place + draw.randrange(2) :])
    accepted = check_equal_or_refused(files, tmp_path)
    assert accepted > 300  # most damage costs one record of four, or the file where it meets the header


def damaged(whole: bytes, draw: random.Random) -> bytes:
    """One to three random edits: replace, insert, delete a run, repeat a run, or cut off."""
    content = bytearray(whole)
    for _ in range(draw.randint(1, 3)):
        place, length = draw.randrange(max(len(content), 1)), draw.randint(1, 8)
        match draw.randrange(5):
            case 0:
                content[place : place + 1] = bytes([draw.randrange(256)])
            case 1:
                content[place:place] = draw.randbytes(length)
            case 2:
                del content[place : place + length]
            case 3:
                content[place:place] = content[place : place + length]
            case _:
                del content[place:]
    return bytes(content)


def plainly_read(content: bytes) -> dict[int, dict[str, str]] | None:
    """Record number and cells of the well-formed lines of a comma-separated file, read as plainly as can be."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    lines = [line.removesuffix("\r") for line in re.split("\n", text)]
    header, *records = [line for line in lines if line]
    names = [name.strip() for name in next(csv.reader([header]))]
    found = {}
    for number, line in enumerate(records, start=1):
        cells = next(csv.reader([line]), [])
        if len(cells) == len(names):
            found[number] = dict(zip(names, (cell.strip() for cell in cells), strict=True))
    return found


def says(column: str, cell: str | None) -> Any:
    """The plain meaning of a cell, by Python's own reading of numbers and times."""
    if not cell:
        return None
    match questions()[column].type:
        case "yesno":
            return {"1": True, "0": False}[cell]
        case "integer":
            return int(cell)
        case "number":
            return float(cell)
        case "timestamp":
            return datetime.fromisoformat(cell).astimezone(UTC)
    return cell


def test_whatever_the_damage_a_loaded_value_is_what_the_damaged_bytes_say(tmp_path: Path) -> None:
    whole, draw = csv_bytes(RECORDS), random.Random("any damage")
    files = []
    while len(files) < 600:
        content = damaged(whole, draw)
        # A quotation mark joins lines, which the plain reading does not know; and the header is the other test's.
        if b'"' not in content and b"\r" not in content and content.startswith(whole.partition(b"\n")[0] + b"\n"):
            files.append(content)
    accepted = 0
    for number, place, row in typed_rows(files, tmp_path):
        plain = (plainly_read(files[number]) or {})[place]
        assert row == tuple(says(column, plain.get(column)) for column in COLUMNS), files[number]
        accepted += 1
    assert accepted > 1000


def parquet_with_checksums() -> bytes:
    out = io.BytesIO()
    pq.write_table(TYPED.to_arrow(), out, write_page_checksum=True)
    return out.getvalue()


CHECKED: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(csv_bytes(RECORDS)),
    "workbook": lambda: workbook_bytes(RECORDS),
    "parquet with page checksums": parquet_with_checksums,
}


@pytest.mark.parametrize("kind", CHECKED)
def test_a_format_with_checksums_gives_its_records_whole_or_not_at_all(kind: str, tmp_path: Path) -> None:
    whole, draw = CHECKED[kind](), random.Random(f"checked {kind}")
    files = [whole, *(damaged(whole, draw) for _ in range(100))]
    assert check_equal_or_refused(files, tmp_path) >= RECORDS.height
